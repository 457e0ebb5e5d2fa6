//! Text of others, made fit to be shown: a terminal obeys control characters, a log takes a line break for a new entry,
//! and what turns the direction of writing shows another text than the one that is there.

use std::fmt::Write;

/// On one line: what does not print stands there as its escape. At most `chars_max` characters of the text are kept.
pub fn line(text: &str, chars_max: usize) -> String {
    shown(text, chars_max, |_| false)
}

/// The same, but line breaks and tabs stay.
pub fn lines(text: &str, chars_max: usize) -> String {
    shown(text, chars_max, |c| matches!(c, '\n' | '\t'))
}

fn shown(text: &str, chars_max: usize, stays: impl Fn(char) -> bool) -> String {
    let mut plain = String::with_capacity(text.len().min(chars_max));
    let mut chars = text.chars();
    for c in chars.by_ref().take(chars_max) {
        match c {
            c if stays(c) => plain.push(c),
            '\n' => plain.push_str("\\n"),
            '\t' => plain.push_str("\\t"),
            '\r' => plain.push_str("\\r"),
            c if is_hidden(c) => {
                write!(plain, "{}", c.escape_unicode()).expect("a string takes all");
            }
            c => plain.push(c),
        }
    }
    if chars.next().is_some() {
        plain.push('…');
    }
    plain
}

/// Control characters, line and paragraph separators, and what sets the direction of writing (Unicode, UAX #9).
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_does_not_print_is_escaped() {
        let cases = [
            ("it's \"plain\" 😀 ü \\", "it's \"plain\" 😀 ü \\"),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("a\0b\r\n\tc", "a\\u{0}b\\r\\n\\tc"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("user\u{202e}nimda", "user\\u{202e}nimda"),
        ];
        for (text, expected) in cases {
            assert_eq!(line(text, 100), expected);
        }
        assert_eq!(lines("a\n\tb\u{1b}", 100), "a\n\tb\\u{1b}");
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        assert_eq!(line("äöü", 3), "äöü");
        assert_eq!(line("äöü", 2), "äö…");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left(text in any::<String>(), max in 0usize..40) {
            let plain = line(&text, max);
            prop_assert!(!plain.chars().any(is_hidden));
            prop_assert!(plain.chars().count() <= 10 * max + 1);
            prop_assert_eq!(line(&plain, usize::MAX), plain);
        }
    }
}
