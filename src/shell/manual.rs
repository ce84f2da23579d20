//! What `docs/api.md` says of modules and functions, as plain text.
//!
//! A heading of the second level names modules (``## `A`, `B` ``); one of the third below it names a function (``### `get(id)` ``)
//! or belongs to what is said of the module.

const API: &str = include_str!("../../docs/api.md");

/// A section of a function.
struct Function {
    /// `get(app_id, server \\ Otturnaut.AppState)`.
    signature: &'static str,
    body: &'static str,
}

/// What is said of a module before its functions, and its functions with their first sentences.
pub(super) fn module(name: &str) -> Option<String> {
    let (text, _) = of_module(name)?;
    let end = text.find("\n### `").unwrap_or(text.len());
    let mut out = format!("{name}\n\n{}", plain(text.get(..end).unwrap_or_default()));
    for function in functions(text) {
        out = format!("{out}  {}\n", function.signature);
    }
    Some(out)
}

/// What is said of a function, of each that has the name; of those that take so many arguments, if that is asked.
pub(super) fn function(module: &str, name: &str, arity: Option<usize>) -> Option<String> {
    let (text, _) = of_module(module)?;
    let fits = |function: &Function| {
        function.signature.split('(').next() == Some(name)
            && arity.is_none_or(|arity| arities(function.signature).contains(&arity))
    };
    let shown = |function: Function| format!("{module}.{}\n\n{}", function.signature, plain(function.body));
    let found: Vec<String> = functions(text).into_iter().filter(fits).map(shown).collect();
    (!found.is_empty()).then(|| found.concat())
}

/// The section of a module without its heading.
fn of_module(name: &str) -> Option<(&'static str, &'static str)> {
    let named = format!("`{name}`");
    let sections = API.split("\n## ").skip(1).filter_map(|section| section.split_once('\n'));
    sections.map(|(heading, text)| (text, heading)).find(|(_, heading)| heading.split(", ").any(|own| own == named))
}

fn functions(text: &'static str) -> Vec<Function> {
    let sections = text.split("\n### `").skip(1);
    let function = |section: &'static str| {
        let (heading, body) = section.split_once('\n')?;
        Some(Function { signature: heading.trim_end().strip_suffix('`')?, body })
    };
    sections.filter_map(function).collect()
}

/// How many arguments a signature takes: those with `\\` may be left out.
fn arities(signature: &str) -> std::ops::RangeInclusive<usize> {
    let arguments = signature.split_once('(').map_or("", |(_, rest)| rest.trim_end_matches(')'));
    let all = if arguments.is_empty() { 0 } else { arguments.split(", ").count() };
    all.saturating_sub(arguments.matches("\\\\").count())..=all
}

/// Markdown without its marks: code is indented, a table's cells stand side by side.
fn plain(text: &str) -> String {
    let (mut out, mut code) = (String::new(), false);
    for line in text.trim().lines() {
        if line.starts_with("```") {
            code = !code;
        } else if code {
            out = format!("{out}    {line}\n");
        } else if !line.starts_with("|---") {
            out = format!("{out}{}\n", prose(line));
        }
    }
    out.push('\n');
    out
}

fn prose(line: &str) -> String {
    let line = match line.strip_prefix('|') {
        Some(row) => row.trim_end_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>().join("  "),
        None => line.trim_start_matches('#').to_owned(),
    };
    without_links(&line).replace('`', "").replace("\\|", "|").trim().to_owned()
}

/// `[text](target)` is its text.
fn without_links(line: &str) -> String {
    let (mut out, mut rest) = (String::new(), line);
    while let Some((before, behind)) = rest.split_once("](") {
        let (start, text) = before.rsplit_once('[').unwrap_or((before, ""));
        out.push_str(start);
        out.push_str(text);
        rest = behind.split_once(')').map_or("", |(_, after)| after);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_has_an_introduction_and_its_functions() {
        let text = module("Otturnaut.AppState").unwrap();
        assert!(text.starts_with("Otturnaut.AppState\n\n") && text.contains("  list(server"), "{text}");
        assert!(!text.contains('`') && !text.contains("### "), "{text}");
        assert!(module("Otturnaut.Runtime.Podman").is_some() && module("Otturnaut.Nothing").is_none());
    }

    #[test]
    fn a_function_has_what_it_takes_and_gives() {
        let text = function("Otturnaut.AppState", "get", None).unwrap();
        assert!(text.starts_with("Otturnaut.AppState.get(app_id") && text.contains("    iex> "), "{text}");
        assert_eq!(function("Otturnaut.AppState", "get", Some(1)).as_deref(), Some(text.as_str()));
        assert_eq!(function("Otturnaut.AppState", "get", Some(7)), None);
        assert_eq!(function("Otturnaut.AppState", "get", Some(0)), None);
        assert!(function("Otturnaut.HealthMonitor", "status", Some(1)).unwrap().contains("status(app_id)"));
    }

    #[test]
    fn marks_are_left_out() {
        let text = "Calls [`run`](#run) | not\n\n| a | b |\n|---|---|\n| `c` | d |\n```elixir\niex> 1\n```\n";
        assert_eq!(plain(text), "Calls run | not\n\na  b\nc  d\n    iex> 1\n\n");
    }
}
