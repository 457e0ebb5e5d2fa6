//! Scripts that once differed, and their like. They run before everything else.

use crate::script::{Ending, Script, Step, Transaction};
use crate::statement::Statement;

/// A name, and the transactions: each a list of statements.
type Case = (&'static str, &'static [&'static [&'static str]]);

const CASES: [Case; 14] = [
    (
        // The peer refuses the first statement of the block, so it takes no number; the plain database does.
        "a refusal keeps a number from being taken",
        &[
            &["INSERT INTO public.person (id) VALUES (1)"],
            &[
                "UPDATE public.person SET name = 'x'",
                "SET CONSTRAINTS ALL IMMEDIATE",
                "DO $$ BEGIN UPDATE public.person SET name = 'y'; INSERT INTO public.ticket DEFAULT VALUES; END $$",
            ],
            &["INSERT INTO public.ticket DEFAULT VALUES RETURNING id"],
        ],
    ),
    (
        // What the peer refused left a dead row at the plain side alone, which filled the page. When its place is given away, the
        // rows lie in another order, and take their numbers in it.
        "the rows of both sides take their numbers in one order",
        &[
            &[
                "INSERT INTO public.ticket (id, title) SELECT i, repeat('x', 1460) FROM generate_series(101, 103) AS i",
            ],
            &[
                "INSERT INTO public.person (id) VALUES (1)",
                "SET CONSTRAINTS ALL IMMEDIATE",
                "DO $$ BEGIN UPDATE public.person SET name = 'y'; UPDATE public.ticket SET weight = 0 WHERE id = 103; END $$",
            ],
            &["UPDATE public.ticket SET weight = 1 WHERE id = 101"],
            &["UPDATE public.ticket SET weight = 2 WHERE id = 102"],
            &["UPDATE public.ticket SET id = DEFAULT"],
        ],
    ),
    (
        // The cascade's change is in the transition tables of the statement that began it.
        "the key of a row that refers to itself changes",
        &[
            &[
                "INSERT INTO public.person (id) VALUES (1)",
                "INSERT INTO public.ticket (id, owner, parent) VALUES (9, 1, 9)",
            ],
            &["UPDATE public.ticket SET id = -9"],
        ],
    ),
    (
        "two foreign keys of a row cascade at once",
        &[
            &[
                "INSERT INTO public.person (id) VALUES (1), (2)",
                "INSERT INTO public.\"Order\" (\"Region\", \"No\", person, \"help\"\"er\") VALUES ('', 1, 2, 2)",
            ],
            &["UPDATE public.person SET id = 3 WHERE id = 2"],
        ],
    ),
    (
        // The capture of DELETE comes before that of UPDATE.
        "a cascade deletes what another one has updated",
        &[
            &["INSERT INTO public.person (id) VALUES (1), (6), (7), (8)"],
            &[
                "INSERT INTO public.\"Order\" (\"Region\", \"No\", person, \"help\"\"er\") VALUES ('', 1, 7, 6), ('', 2, 1, 8)",
                "DELETE FROM public.person WHERE id > 5",
            ],
            &[
                "INSERT INTO public.person (id) VALUES (6), (7), (8)",
                "INSERT INTO public.\"Order\" (\"Region\", \"No\", person, \"help\"\"er\") VALUES ('', 1, 7, 6)",
            ],
            &["DELETE FROM public.person WHERE id > 5"],
        ],
    ),
    (
        "ON CONFLICT inserts and updates, and triggers change both rows again",
        &[
            &["INSERT INTO public.rate (code, note) VALUES (1.0, 'a')"],
            &[
                "INSERT INTO public.rate (code, factor, note) VALUES (3, 2, 'b'), (1.00, 5, 'c') \
                 ON CONFLICT (code) DO UPDATE SET factor = excluded.factor, note = excluded.note",
            ],
        ],
    ),
    (
        "a deleted row comes back by MERGE, and a trigger changes it again",
        &[
            &[
                "INSERT INTO public.rate (code, factor, note) VALUES (1, 1, NULL), (2, 1, 'x'), (3.0, 1, 'y')",
            ],
            &[
                "DELETE FROM public.rate WHERE code <> 2",
                "MERGE INTO public.rate AS t USING (VALUES (1, 'a'), (2, 'b'), (3, 'c')) AS s(code, note) ON t.code = s.code \
                 WHEN MATCHED THEN UPDATE SET at = 'infinity' \
                 WHEN NOT MATCHED THEN INSERT (code, factor, note) VALUES (s.code, 1, s.note)",
            ],
        ],
    ),
    (
        // The UPDATE of MERGE is told after what the trigger made of it, because its DELETE comes between them. The row is then as it
        // was before both.
        "MERGE deletes a row and updates one that a trigger puts back",
        &[
            &["INSERT INTO public.rate (code, note) VALUES (1.0, 'a'), (4, 'triggers')"],
            &[
                "MERGE INTO public.rate AS t USING (VALUES (1), (4)) AS s(code) ON t.code = s.code \
                 WHEN MATCHED AND t.code = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET note = t.note || '!', factor = t.factor",
                "DELETE FROM public.rate WHERE code = 4",
            ],
        ],
    ),
    (
        // The hook ran in the middle of the UPDATE.
        "constraints are immediate before the first change",
        &[
            &["INSERT INTO public.rate (code, note) VALUES (4, 'a')"],
            &[
                "SET CONSTRAINTS ALL IMMEDIATE",
                "UPDATE public.rate SET factor = 0.1",
                "UPDATE public.rate SET factor = 0.2",
            ],
        ],
    ),
    (
        "a key moves to one whose equal has another text",
        &[
            &["INSERT INTO public.rate (code) VALUES (2), (1.00)"],
            &["UPDATE public.rate SET code = code + 1"],
        ],
    ),
    (
        "a row moves away, another takes its key, and then it is deleted",
        &[
            &["INSERT INTO public.person (id, name) VALUES (1, 'a')"],
            &[
                "UPDATE public.person SET id = 2",
                "INSERT INTO public.person (id, name) VALUES (1, 'b')",
                "DELETE FROM public.person WHERE id = 2",
            ],
        ],
    ),
    (
        // The capture of INSERT comes before that of UPDATE: two new rows seem to have one key.
        "a new row takes the key that another new row leaves in the same statement",
        &[
            &[
                "INSERT INTO public.person (id, name) VALUES (1, 'a')",
                "WITH left_key AS (UPDATE public.person SET id = 2 WHERE id = 1 RETURNING name)
                 INSERT INTO public.person (id, name) SELECT 1, name || 'b' FROM left_key",
            ],
            &[
                "WITH left_key AS (UPDATE public.person SET id = 3 WHERE id = 1 RETURNING name)
                 INSERT INTO public.person (id, name) SELECT 1, name || 'c' FROM left_key",
            ],
        ],
    ),
    (
        "keys change hands, one after the other",
        &[
            &["INSERT INTO public.person (id, name) VALUES (1, 'a'), (2, 'b')"],
            &[
                "UPDATE public.person SET id = 3 WHERE id = 1",
                "UPDATE public.person SET id = 1 WHERE id = 2",
            ],
        ],
    ),
    (
        "what changes and changes back is no change",
        &[
            &["INSERT INTO public.person (id, name, region) VALUES (1, 'a', 'north')"],
            &[
                "UPDATE public.person SET id = 2, region = NULL",
                "UPDATE public.person SET id = 1, region = 'north'",
            ],
        ],
    ),
];

/// All of them, with their names.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Script)> {
    CASES.iter().map(|(name, transactions)| {
        let transactions = transactions.iter().map(|statements| Transaction {
            isolation: "",
            settings: Vec::new(),
            steps: statements
                .iter()
                .map(|sql| Step::Run(Statement::Plain((*sql).to_owned())))
                .collect(),
            ending: Ending::Commit,
        });
        (
            *name,
            Script {
                transactions: transactions.collect(),
            },
        )
    })
}
