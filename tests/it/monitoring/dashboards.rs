//! The dashboards of Grafana, made from `deploy/grafana/panels.json`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{families, file, metrics_in};

/// Columns of a dashboard.
const COLUMNS: u64 = 24;
/// Rows that a panel is high; one with a single figure is lower.
const HEIGHT: u64 = 8;
const STAT_HEIGHT: u64 = 4;

/// One expression of a panel.
pub struct Query {
    /// Dashboard and panel.
    pub place: String,
    /// As the dashboard has it, with Grafana's variables.
    pub expression: String,
}

fn description() -> Vec<Value> {
    let description: Value = serde_json::from_str(&file("deploy/grafana/panels.json")).unwrap();
    description["dashboards"].as_array().unwrap().clone()
}

fn dashboard_file(dashboard: &Value) -> String {
    format!("deploy/grafana/{}", dashboard["file"].as_str().unwrap())
}

/// Every expression of every dashboard, as it stands in the files that Grafana loads.
pub fn queries() -> Vec<Query> {
    let mut all = Vec::new();
    for dashboard in description() {
        let loaded: Value = serde_json::from_str(&file(&dashboard_file(&dashboard))).unwrap();
        for panel in loaded["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                all.push(Query {
                    place: format!("{}, {}", loaded["title"], panel["title"]),
                    expression: target["expr"].as_str().unwrap().to_owned(),
                });
            }
        }
    }
    all
}

/// A dashboard in Grafana's classic form.
fn dashboard(described: &Value) -> Value {
    let mut panels = Vec::new();
    let mut y = 0;
    for row in described["rows"].as_array().unwrap() {
        let grid = json!({ "h": 1, "w": COLUMNS, "x": 0, "y": y });
        let id = panels.len() + 1;
        panels.push(json!({
            "id": id, "type": "row", "title": row["title"], "collapsed": false, "gridPos": grid, "panels": []
        }));
        y = fill_row(&mut panels, row["panels"].as_array().unwrap(), y + 1);
    }
    json!({
        "id": null,
        "uid": described["uid"],
        "title": described["title"],
        "description": described["description"],
        "tags": ["aimis-gateway"],
        "links": [{
            "type": "dashboards", "title": "aimis-gateway", "tags": ["aimis-gateway"], "asDropdown": false,
            "includeVars": true, "keepTime": true, "targetBlank": false, "icon": "external link", "tooltip": "", "url": ""
        }],
        "templating": { "list": variables() },
        "annotations": { "list": [] },
        "time": { "from": "now-6h", "to": "now" },
        "refresh": "30s",
        "timezone": "browser",
        "editable": true,
        "graphTooltip": 1,
        "schemaVersion": 39,
        "version": 1,
        "panels": panels
    })
}

/// Puts panels beside each other and below, and gives the line below them.
fn fill_row(panels: &mut Vec<Value>, described: &[Value], mut y: u64) -> u64 {
    let (mut x, mut highest) = (0, 0);
    for panel in described {
        let kind = panel["kind"].as_str().unwrap_or("timeseries");
        let width = panel["width"].as_u64().unwrap_or(6);
        let height = if kind == "stat" && panel["width"] == 4 {
            STAT_HEIGHT
        } else {
            HEIGHT
        };
        if x + width > COLUMNS {
            (x, y, highest) = (0, y + highest, 0);
        }
        let grid = json!({ "h": height, "w": width, "x": x, "y": y });
        panels.push(self::panel(panels.len() + 1, kind, panel, &grid));
        x += width;
        highest = highest.max(height);
    }
    y + highest
}

fn variables() -> Value {
    let of = |name: &str, label: &str, query: &str| {
        json!({
            "name": name, "label": label, "type": "query", "datasource": datasource(),
            "query": { "query": query, "refId": name },
            "refresh": 2, "sort": 1, "multi": true, "includeAll": true, "allValue": ".*",
            "current": { "selected": true, "text": ["All"], "value": ["$__all"] }
        })
    };
    json!([
        { "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus" },
        of("tenant", "Hospital", "label_values(aimis_requests_total, tenant)"),
        of("instance", "Gateway", "label_values(aimis_build_info, instance)")
    ])
}

fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn panel(id: usize, kind: &str, described: &Value, grid: &Value) -> Value {
    let one_moment = matches!(kind, "stat" | "table");
    let targets = described["queries"].as_object().unwrap().iter().enumerate();
    let targets: Vec<Value> = targets
        .map(|(index, (legend, expression))| {
            let expression = expression.as_str().unwrap();
            let job = "job=\"aimis-gateway\", instance=~\"$instance\"";
            let expression = expression.replace("%t", "%i, tenant=~\"$tenant\"").replace("%i", job);
            let format = match kind {
                "table" => "table",
                "heatmap" => "heatmap",
                _ => "time_series",
            };
            json!({
                "refId": char::from(b'A' + index as u8).to_string(), "datasource": datasource(), "editorMode": "code",
                "expr": expression, "legendFormat": legend, "format": format,
                "instant": one_moment, "range": !one_moment
            })
        })
        .collect();
    let mut panel = json!({
        "id": id, "type": kind, "title": described["title"], "description": described["description"],
        "datasource": datasource(), "gridPos": grid, "targets": targets,
        "fieldConfig": { "defaults": field(kind, described), "overrides": [] },
        "options": options(kind)
    });
    if kind == "table" {
        // Labels that are the same in every line say nothing.
        panel["transformations"] = json!([{
            "id": "organize", "options": { "excludeByName": { "Time": true, "__name__": true, "job": true } }
        }]);
    }
    panel
}

fn field(kind: &str, described: &Value) -> Value {
    let mut defaults = Map::from_iter([("unit".to_owned(), described["unit"].clone())]);
    for key in ["min", "max", "decimals"] {
        if let Some(value) = described.get(key) {
            defaults.insert(key.to_owned(), value.clone());
        }
    }
    if let Some(steps) = described["steps"].as_object() {
        let steps: Vec<Value> = steps
            .iter()
            .map(|(color, value)| json!({ "color": color, "value": value }))
            .collect();
        defaults.insert("color".to_owned(), json!({ "mode": "thresholds" }));
        defaults.insert("thresholds".to_owned(), json!({ "mode": "absolute", "steps": steps }));
    }
    if kind == "timeseries" {
        let stack = if described["stack"] == true { "normal" } else { "none" };
        let scale = if described["log"] == true {
            json!({ "type": "log", "log": 10 })
        } else {
            json!({ "type": "linear" })
        };
        let custom = json!({
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": if stack == "normal" { 30 } else { 0 },
            "stacking": { "mode": stack, "group": "A" }, "scaleDistribution": scale, "showPoints": "never"
        });
        defaults.insert("custom".to_owned(), custom);
    }
    defaults.into()
}

fn options(kind: &str) -> Value {
    match kind {
        "stat" => json!({
            "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
            "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "textMode": "auto"
        }),
        "timeseries" => json!({
            "legend": { "calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": true },
            "tooltip": { "mode": "multi", "sort": "desc" }
        }),
        "heatmap" => json!({
            "calculate": false, "yAxis": { "unit": "s" }, "cellGap": 1,
            "color": {
                "mode": "scheme", "scheme": "Blues", "steps": 64, "reverse": false, "exponent": 0.5, "fill": "dark-blue"
            }
        }),
        _ => json!({ "showHeader": true }),
    }
}

/// Set `IT_UPDATE` to write them anew.
#[test]
fn the_dashboards_are_made_from_their_description() {
    for described in description() {
        let wanted = format!("{:#}\n", dashboard(&described));
        let path = dashboard_file(&described);
        if std::env::vars_os().any(|(name, _)| name == "IT_UPDATE") {
            std::fs::write(format!("{}/{path}", env!("CARGO_MANIFEST_DIR")), wanted).unwrap();
            continue;
        }
        assert_eq!(
            file(&path),
            wanted,
            "IT_UPDATE=1 cargo test -p aimis --test it dashboards"
        );
    }
}

#[test]
fn dashboards_can_be_loaded_anywhere_and_every_panel_explains_itself() {
    let mut uids = BTreeSet::new();
    for described in description() {
        let dashboard = dashboard(&described);
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()));
        assert!(dashboard["id"].is_null());
        let mut taken = BTreeSet::new();
        let mut titles = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(titles.insert(title.to_owned()), "two panels are called {title}");
            let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            for x in side("x")..side("x") + side("w") {
                for y in side("y")..side("y") + side("h") {
                    assert!(x < COLUMNS && taken.insert((x, y)), "{title} lies on another panel");
                }
            }
            if panel["type"] == "row" {
                continue;
            }
            assert!(
                panel["description"].as_str().is_some_and(|text| text.ends_with('.')),
                "{title}"
            );
            assert!(
                panel["fieldConfig"]["defaults"]["unit"].is_string(),
                "{title} has no unit"
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{title} asks nothing");
        }
    }
}

#[test]
fn dashboards_are_about_metrics_that_there_are() {
    let known: BTreeSet<String> = families().into_iter().map(|(name, _)| name).collect();
    let rules = file("deploy/prometheus/rules.yaml");
    for Query { place, expression } in queries() {
        for name in metrics_in(&expression) {
            assert!(known.contains(&name), "{place}: {name} is no metric");
        }
        for name in expression.split(['{', ' ']).filter(|word| word.starts_with("job:")) {
            assert!(
                rules.contains(&format!("record: {name}\n")),
                "{place}: {name} is not recorded"
            );
        }
    }
}
