//! `gen`: files made from the command line's own description.

use clap::{CommandFactory, Subcommand};
use clap_complete::Shell;

use super::output::{self, Failure};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Shell completions: aimis-gateway gen completions bash > /etc/bash_completion.d/aimis-gateway
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// The manual page: aimis-gateway gen man > aimis-gateway.1
    Man,
    /// The reference of every setting, in Markdown (docs/configuration.md).
    ConfigurationReference,
    /// The platform's business codes and their classes (config/codes.toml).
    Codes,
    /// What a HIS and an operator can ask, as OpenAPI 3.1 (config/openapi.json).
    Openapi,
}

pub(super) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut super::Arguments::command(), "aimis-gateway", &mut text);
            output::print(&String::from_utf8_lossy(&text))
        }
        Command::Man => output::print(&man()?),
        Command::ConfigurationReference => output::print(&crate::config::markdown()),
        Command::Codes => output::print(&aimis_core::codes::to_toml()),
        Command::Openapi => output::print(&crate::openapi::text()),
    }
}

/// One page for the program and, in sections, all its commands: nobody looks for `aimis-gateway-inbox-show(1)`.
fn man() -> Result<String, Failure> {
    let mut command = super::Arguments::command();
    command.build();
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(command.clone());
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    text.extend_from_slice(b".SH COMMANDS\n");
    commands(&command, &mut text)?;
    page.render_extra_section(&mut text)?;
    page.render_version_section(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn commands(of: &clap::Command, text: &mut Vec<u8>) -> std::io::Result<()> {
    for command in of.get_subcommands().filter(|command| command.get_name() != "help") {
        if command.has_subcommands() {
            commands(command, text)?;
            continue;
        }
        let page = clap_mangen::Man::new(command.clone());
        let mut own = Vec::new();
        page.render_synopsis_section(&mut own)?;
        page.render_description_section(&mut own)?;
        page.render_options_section(&mut own)?;
        let name = command
            .get_display_name()
            .unwrap_or(command.get_name())
            .replace('-', " ");
        let name = name.replacen("aimis gateway", "aimis-gateway", 1);
        text.extend_from_slice(format!(".SS {name}\n").as_bytes());
        // Sections of a page of its own become paragraphs of this one.
        let own = String::from_utf8_lossy(&own);
        let lines = own.lines().map(|line| match line.strip_prefix(".SH ") {
            Some(title) => format!(".PP\n\\fI{}\\fR\n.br", title.to_lowercase()),
            None => line.to_owned(),
        });
        for line in lines {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
    }
    Ok(())
}
