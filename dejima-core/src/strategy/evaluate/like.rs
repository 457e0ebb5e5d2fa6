//! LIKE: `%` is any text, `_` any character, a backslash takes the next character as it is.

/// Whether a text is like a pattern.
pub(super) fn is_like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern = parts(pattern);
    // reachable[i]: the parts so far can match the first i characters.
    let mut reachable = vec![false; text.len() + 1];
    reachable[0] = true;
    for part in pattern {
        let before = std::mem::replace(&mut reachable, vec![false; text.len() + 1]);
        for at in 0..=text.len() {
            reachable[at] = match part {
                Part::Any => before[at] || (at > 0 && reachable[at - 1]),
                Part::One => at > 0 && before[at - 1],
                Part::Exactly(c) => at > 0 && before[at - 1] && text[at - 1] == c,
            };
        }
    }
    reachable[text.len()]
}

#[derive(Clone, Copy)]
enum Part {
    Any,
    One,
    Exactly(char),
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        parts.push(match c {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::Exactly(characters.next().unwrap_or('\\')),
            _ => Part::Exactly(c),
        });
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_sql() {
        for (text, pattern) in [
            ("abc", "a%"),
            ("abc", "%"),
            ("abc", "_b_"),
            ("", "%"),
            ("a%", "a\\%"),
        ] {
            assert!(is_like(text, pattern), "{text} {pattern}");
        }
        for (text, pattern) in [("abc", "b%"), ("abc", "__"), ("", "_"), ("ab", "a\\%")] {
            assert!(!is_like(text, pattern), "{text} {pattern}");
        }
    }
}
