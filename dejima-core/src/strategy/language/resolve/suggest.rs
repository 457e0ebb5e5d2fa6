//! What somebody may have meant who wrote a name that nobody knows.

/// The known name that is nearest, if it is near.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|known| (distance(&name.to_lowercase(), &known.to_lowercase()), known));
    let allowed = name.chars().count() / 3 + 1;
    near.filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, known)| known)
}

/// Letters to insert, delete or replace, row by row of the usual table.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, letter) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_names_are_meant() {
        let known = || ["customers", "orders", "r"].into_iter();
        assert_eq!(nearest("custmers", known()), Some("customers"));
        assert_eq!(nearest("Orders", known()), Some("orders"));
        assert_eq!(nearest("vehicles", known()), None);
    }
}
