//! The outline of a TOML file: which keys stand in which table, their values as text.
//!
//! Enough for manifests and `deny.toml`, which cargo and cargo-deny read in full; a whole parser would take longer to
//! compile than everything else here.

/// One key of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As in the header, without brackets; empty before the first.
    pub(crate) table: String,
    /// As written, dots included: `tokio.workspace`.
    pub(crate) key: String,
    /// As written, without comments; lines of a list joined by blanks.
    pub(crate) value: String,
}

/// All keys of a text that is valid TOML.
pub(crate) fn read(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut table = String::new();
    let mut open = 0;
    for line in text.lines() {
        let line = Line::of(line);
        if open > 0 {
            if let Some(entry) = entries.last_mut() {
                entry.value.push(' ');
                entry.value.push_str(line.text);
            }
            open += line.depth;
        } else if line.text.starts_with('[') {
            table = line.text.trim_matches(['[', ']']).trim().to_owned();
        } else if let Some((key, value)) = line.text.split_once('=') {
            let [key, value] = [key, value].map(|part| part.trim().to_owned());
            entries.push(Entry {
                table: table.clone(),
                key,
                value,
            });
            open = line.depth;
        }
    }
    entries
}

/// The strings in a value, in order.
pub(crate) fn strings(value: &str) -> Vec<&str> {
    value.split('"').skip(1).step_by(2).collect()
}

/// A line without its comment, and by how many brackets it opens more than it closes.
struct Line<'a> {
    text: &'a str,
    depth: isize,
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Self {
        let (mut depth, mut in_string, mut end) = (0, false, line.len());
        for (at, c) in line.char_indices() {
            match c {
                '"' => in_string = !in_string,
                '#' if !in_string => {
                    end = at;
                    break;
                }
                '[' | '{' if !in_string => depth += 1,
                ']' | '}' if !in_string => depth -= 1,
                _ => {}
            }
        }
        Self {
            text: line[..end].trim(),
            depth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_keys_and_lists_are_seen() {
        let text = "\
name = \"a#b\" # a comment with [ and \"
[dependencies]
tokio.workspace = true
serde = { version = \"1\", features = [\"derive\"] }
[bans]
deny = [
  { crate = \"ring\", reason = \"x [y\" }, # why
  \"native-tls\",
]
[[bench]]
name = \"road\"
";
        let entries = read(text);
        let keys: Vec<(&str, &str)> = entries.iter().map(|e| (e.table.as_str(), e.key.as_str())).collect();
        let expected = [
            ("", "name"),
            ("dependencies", "tokio.workspace"),
            ("dependencies", "serde"),
            ("bans", "deny"),
            ("bench", "name"),
        ];
        assert_eq!(keys, expected);
        assert_eq!(entries[0].value, "\"a#b\"");
        assert_eq!(strings(&entries[3].value), ["ring", "x [y", "native-tls"]);
    }
}
