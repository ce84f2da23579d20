//! Characters as people see them: what Unicode calls extended grapheme clusters, as far as it is in a few rules.

/// The characters of a text, each with what is put on it: accents, joined emoji, flags.
pub(super) fn graphemes(text: &str) -> Vec<&str> {
    let (mut found, mut start, mut before, mut flags) = (Vec::new(), 0, None, 0_usize);
    for (at, c) in text.char_indices() {
        if before.is_some_and(|before| !stays(before, c, flags)) {
            found.push(text.get(start..at).unwrap_or_default());
            start = at;
        }
        flags = if is_flag(c) { flags + 1 } else { 0 };
        before = Some(c);
    }
    if before.is_some() {
        found.push(text.get(start..).unwrap_or_default());
    }
    found
}

/// Whether a character belongs to the one before it; of flags so many stand before it.
fn stays(before: char, c: char, flags: usize) -> bool {
    match (before, c) {
        ('\r', '\n') => true,
        _ if before.is_control() => false,
        ('\u{200d}', c) => is_joined(c),
        (before, c) if is_flag(before) && is_flag(c) => flags % 2 == 1,
        (_, c) => is_put_on(c),
    }
}

/// Letters of which two are a flag.
fn is_flag(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}

/// Pictures that others are joined to.
fn is_joined(c: char) -> bool {
    is_put_on(c) || matches!(c, '\u{a9}' | '\u{ae}' | '\u{203c}'..='\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

/// Marks, modifiers, joiners.
fn is_put_on(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{93a}'..='\u{93c}' | '\u{93e}'..='\u{94f}' | '\u{e31}' | '\u{e34}'..='\u{e3a}'
        | '\u{e47}'..='\u{e4e}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{200c}' | '\u{200d}'
        | '\u{20d0}'..='\u{20ff}' | '\u{3099}' | '\u{309a}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}'
        | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}
