//! Every type with its boundary values, each as a client may write it.

/// Columns that stand in one base table.
#[derive(Debug)]
pub(super) struct Group {
    /// The name of the Dejima table.
    pub(super) name: &'static str,
    /// One column each.
    pub(super) kinds: &'static [Kind],
}

/// A type as a column has it.
#[derive(Debug)]
pub(super) struct Kind {
    /// As CREATE TABLE says it.
    pub(super) type_name: &'static str,
    /// SQL expressions; NULL is tried beside them.
    pub(super) values: &'static [&'static str],
    /// Those of them of which PostgreSQL's text says less than the bits hold: only their text is compared.
    pub(super) by_text: &'static [&'static str],
    /// The type refuses NULL.
    pub(super) is_not_null: bool,
}

const fn kind(type_name: &'static str, values: &'static [&'static str]) -> Kind {
    Kind {
        type_name,
        values,
        by_text: &[],
        is_not_null: false,
    }
}

/// Types that users make; the same text at both ends.
pub(super) const USER_TYPES: &str = r#"
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', '', 'NULL', 'ü,{}() \');
CREATE TYPE "odd ""Type"" ü; --" AS ENUM ('x', 'y');
CREATE DOMAIN short AS varchar(5);
CREATE DOMAIN shorter AS short CHECK (VALUE <> 'no');
CREATE DOMAIN code AS char(3);
CREATE DOMAIN spaced AS bpchar;
CREATE DOMAIN positive AS integer NOT NULL CHECK (VALUE > 0);
CREATE DOMAIN few AS integer[] CHECK (cardinality(VALUE) < 5);
CREATE DOMAIN plain_text AS text COLLATE "C";
CREATE TYPE place AS (street text, at point, since date);
CREATE TYPE person AS (name text, mood mood, home place, codes code[], weight double precision);
CREATE DOMAIN known_place AS place CHECK ((VALUE).street <> '');
CREATE TYPE text_range AS RANGE (subtype = text, collation = "C");
CREATE TABLE house (number integer, owner person);
"#;

pub(super) const GROUPS: &[Group] = &[
    Group {
        name: "numbers",
        kinds: &[
            kind("boolean", &["true", "false"]),
            kind("smallint", &["-32768", "32767", "0"]),
            kind("integer", &["-2147483648", "2147483647", "0"]),
            kind("bigint", &["-9223372036854775808", "9223372036854775807"]),
            kind(
                "numeric",
                &[
                    "'NaN'",
                    "'Infinity'",
                    "'-Infinity'",
                    "repeat('9', 1000)::numeric",
                    "('-0.' || repeat('0', 998) || '10')::numeric",
                    "'1.0'",
                    "'1.000'",
                    "'-0'",
                    "'1e131071'",
                    "'1e-16383'",
                ],
            ),
            kind("numeric(12,4)", &["12345678.9012", "'-0.0001'", "'NaN'"]),
            kind("numeric(5,-2)", &["1234500", "-100"]),
            kind(
                "real",
                &[
                    "'NaN'",
                    "'Infinity'",
                    "'-Infinity'",
                    "'-0'",
                    "'1e-45'",
                    "'1.17549435e-38'",
                    "'3.4028235e38'",
                    "'0.1'::real + '0.2'::real",
                    "16777217",
                ],
            ),
            Kind {
                type_name: "double precision",
                values: &[
                    "'NaN'",
                    "'Infinity'",
                    "'-Infinity'",
                    "'-0'",
                    "'5e-324'",
                    "'2.2250738585072014e-308'",
                    "'1.7976931348623157e308'",
                    "'0.1'::float8 + '0.2'::float8",
                    "1::float8 / 3",
                    "'Infinity'::float8 - 'Infinity'",
                ],
                by_text: &["'Infinity'::float8 - 'Infinity'"],
                is_not_null: false,
            },
            kind(
                "money",
                &[
                    "'-92233720368547758.08'",
                    "'92233720368547758.07'",
                    "'-0.01'",
                    "'0'",
                ],
            ),
        ],
    },
    Group {
        name: "texts",
        kinds: &[
            kind(
                "text",
                &[
                    "''",
                    "' '",
                    "'NULL'",
                    r#"E'quotes " \' and a backslash \\'"#,
                    r"E'line\nfeed\r\nand\ttab'",
                    "'$1 %s %I {0} \"; DROP TABLE x; --'",
                    "chr(1) || chr(31) || chr(127) || chr(128) || chr(160)",
                    "(SELECT string_agg(chr(plane * 65536 + 8364), '') FROM generate_series(0, 16) AS plane)",
                    "chr(65279) || chr(65533) || chr(65534) || chr(65535) || chr(1114111)",
                    r"E'e\u0301 is not \u00e9'",
                    r"E'\u202eright to left\u202c \U0001F469\u200D\U0001F52C'",
                    "repeat('long ', 100000)",
                ],
            ),
            kind("character varying", &["''", "'trailing   '"]),
            kind(
                "character varying(10)",
                &["'ten  chars'", "'é€😀       '", "''"],
            ),
            kind("character(7)", &["''", "'a'", "'a  '", "' a'", "'é€😀'"]),
            kind("bpchar", &["''", "'a'", "'a   '", "'   '"]),
            kind(
                "\"char\"",
                &["'a'", "''", "' '", r"'\377'", r"'\'", "'\"'", "chr(1)"],
            ),
            kind("name", &["''", "repeat('é', 31) || 'x'", "'select'"]),
            kind("citext", &["'MiXeD'", "'mixed'", "''"]),
            kind(
                "uuid",
                &[
                    "'00000000-0000-0000-0000-000000000000'",
                    "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
                ],
            ),
            kind(
                "bytea",
                &[
                    r"'\x'",
                    r"'\x00'",
                    r"'\x00ff005c27'",
                    r"(SELECT string_agg(set_byte('\x00', 0, b), '' ORDER BY b) FROM generate_series(0, 255) AS b)",
                ],
            ),
            kind("refcursor", &["''", "'c \"1'"]),
        ],
    },
    Group {
        name: "documents",
        kinds: &[
            kind(
                "json",
                &[
                    r#"'{"b": 1, "a": 2, "b": 3}'"#,
                    r"E' [ 1 ,\n\t2 ] '",
                    "'null'",
                    r#"'"\u0041\ud83d\ude00 \\ \" \u0000"'"#,
                    "'1.0E+2'",
                    "'{\"\": {}}'",
                ],
            ),
            kind(
                "jsonb",
                &[
                    r#"'{"b": 1, "a": 2, "b": 3}'"#,
                    "'1.000'",
                    "'-0'",
                    "'null'",
                    r#"'"\u0041\ud83d\ude00 \\ \""'"#,
                    "'1e1000'",
                    "'[[], {}, \"\"]'",
                ],
            ),
            kind(
                "jsonpath",
                &[
                    "'$'",
                    r#"'strict $.a[*] ? (@.b > 1 && @.c like_regex "^x\\d" flag "i")'"#,
                    r#"'$."a \"b\"".**{2 to last}[0, 1 to last]'"#,
                    "'-$.a + 1.50 * $.size()'",
                ],
            ),
            kind(
                "xml",
                &[
                    "'<a/>'",
                    "'text &amp; <b>a fragment</b> '",
                    "''",
                    "'<?xml version=\"1.0\" encoding=\"UTF-8\"?><a>é</a>'",
                    "'<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>é</a>'",
                    "'<?xml version=\"1.1\" standalone=\"yes\"?><a/>'",
                    "'<!DOCTYPE a><a b=\"''\">&lt;</a>'",
                    r"E'  <a>\n</a>\n'",
                ],
            ),
            kind(
                "tsvector",
                &[
                    "''",
                    "'b a:1,2B c'",
                    r"'''it''''s'':3A ''a\\b'' '' '''",
                    "'x:16383'",
                ],
            ),
            Kind {
                type_name: "tsquery",
                values: &[
                    "''",
                    "'!(a | b) <-> c:*AB'",
                    r"'''it''''s'' <3> ''a\\b'''",
                    "'a & b & c | !!d'",
                    "'(a <-> b) <-> (c <2> d)'",
                    "'a & (b & c)'",
                ],
                by_text: &["'a & (b & c)'"],
                is_not_null: false,
            },
            kind(
                "hstore",
                &["''", r#"'a=>NULL, b=>"NULL", "\"q\" \\"=>"", ""=>x'"#],
            ),
        ],
    },
    Group {
        name: "times",
        kinds: &[
            kind(
                "date",
                &[
                    "'4714-11-24 BC'",
                    "'0001-12-31 BC'",
                    "'0001-01-01'",
                    "'9999-12-31'",
                    "'10000-01-01'",
                    "'5874897-12-31'",
                    "'infinity'",
                    "'-infinity'",
                    "'2000-02-29'",
                ],
            ),
            kind(
                "time",
                &["'00:00'", "'24:00:00'", "'23:59:59.999999'", "'00:00:60'"],
            ),
            kind("time(2)", &["'12:00:00.12'", "'24:00'"]),
            kind(
                "time with time zone",
                &[
                    "'00:00:00+15:59:59'",
                    "'24:00:00-15:59:59'",
                    "'12:00:00.000001+05:30'",
                    "'2026-07-01 12:00 Europe/Berlin'::timetz",
                    "'01:02:03Z'",
                ],
            ),
            kind(
                "timestamp",
                &[
                    "'4714-11-24 00:00:00 BC'",
                    "'294276-12-31 23:59:59.999999'",
                    "'0044-03-15 12:00:00.1 BC'",
                    "'infinity'",
                    "'-infinity'",
                    "'2026-03-29 02:30:00'",
                ],
            ),
            kind("timestamp(3)", &["'2026-01-02 03:04:05.678'"]),
            kind(
                "timestamp with time zone",
                &[
                    "'4714-11-24 12:00:00+00 BC'",
                    "'294276-12-31 12:00:00.999999+00'",
                    "'0044-03-15 12:00:00.1+00 BC'",
                    "'infinity'",
                    "'-infinity'",
                    "'1890-01-01 00:00:00 Europe/Amsterdam'",
                    "'2026-10-25 02:30:00+02'",
                    "'2026-10-25 02:30:00+01'",
                ],
            ),
            kind(
                "interval",
                &[
                    "'0'",
                    "'-1 year +2 months -3 days +04:05:06.789'",
                    "'1 mon -1 day'",
                    "'1 day -00:00:00.000001'",
                    "'-00:00:01'",
                    "'178000000 years'",
                    "'-178956970 years -8 months'",
                    "'2147483647 days'",
                    "'-2147483648 days'",
                    "'-2562047788:00:54.775807'",
                    "'1 day 24:00:00'",
                ],
            ),
            kind("interval year to month", &["'1-2'", "'-1 mon'"]),
        ],
    },
    Group {
        name: "places",
        kinds: &[
            kind("point", &["'(0,-0)'", "'(Infinity,NaN)'", "'(0.1,1e-300)'"]),
            kind(
                "line",
                &["'{1,-1,0}'", "'[(0,0),(1,3)]'", "'{0,-1,Infinity}'"],
            ),
            kind("lseg", &["'[(0,0),(-1,1e300)]'", "'[(1,1),(1,1)]'"]),
            kind("box", &["'(0,0),(1,1)'", "'(-Infinity,-0),(5,NaN)'"]),
            kind(
                "path",
                &["'[(0,0),(1,1)]'", "'((0,0),(1,1),(0.1,-0))'", "'[(0,0)]'"],
            ),
            kind("polygon", &["'((0,0),(1,1),(0.3,-0))'", "'((1,2))'"]),
            kind("circle", &["'<(0,-0),0>'", "'<(1,2),Infinity>'"]),
            kind(
                "inet",
                &[
                    "'0.0.0.0/0'",
                    "'192.168.0.1/24'",
                    "'255.255.255.255'",
                    "'::1'",
                    "'::ffff:1.2.3.4/128'",
                    "'2001:db8::1/64'",
                ],
            ),
            kind(
                "cidr",
                &["'10.0.0.0/8'", "'10.1.2.3/32'", "'2001:db8::/32'"],
            ),
            kind("macaddr", &["'00:00:00:00:00:00'", "'ff:ff:ff:ff:ff:ff'"]),
            kind(
                "macaddr8",
                &["'08:00:2b:01:02:03:04:05'", "'08:00:2b:01:02:03'"],
            ),
        ],
    },
    Group {
        name: "bits_and_ids",
        kinds: &[
            kind("bit(5)", &["B'10101'", "B'00000'"]),
            kind(
                "bit varying",
                &["B''", "B'0'", "repeat('10', 1000)::varbit"],
            ),
            kind("bit varying(8)", &["B''", "B'11111111'"]),
            kind("oid", &["0", "4294967295"]),
            kind("xid", &["'0'", "'4294967295'"]),
            kind("xid8", &["'0'", "'18446744073709551615'"]),
            kind("cid", &["'4294967295'"]),
            kind("tid", &["'(0,0)'", "'(4294967295,65535)'"]),
            kind("pg_lsn", &["'0/0'", "'FFFFFFFF/FFFFFFFF'"]),
            kind("pg_snapshot", &["'10:20:10,14,15'", "'1:1:'"]),
            kind("txid_snapshot", &["'10:20:10,14,15'"]),
            kind("int2vector", &["''", "'1 -2 3'"]),
            kind("oidvector", &["''", "'0 4294967295'"]),
        ],
    },
    Group {
        name: "arrays",
        kinds: &[
            kind(
                "integer[]",
                &[
                    "'{}'",
                    "'{NULL}'",
                    "'{{1,2},{3,NULL}}'",
                    "'[0:1]={1,2}'",
                    "'[-2:-1][5:5]={{1},{2}}'",
                    "'{{{{{{7}}}}}}'",
                ],
            ),
            kind(
                "text[]",
                &[
                    r#"ARRAY['', ' ', NULL, 'NULL', 'null', '{}', ',', '"', E'\\', E'\n']"#,
                    "'{}'",
                ],
            ),
            kind("character(3)[]", &["'{a,\"b \",\"\"}'"]),
            kind("bpchar[]", &["'{a,\"b \",\"   \"}'"]),
            kind("\"char\"[]", &[r#"ARRAY['a', '', '\377']::"char"[]"#]),
            kind("numeric[]", &["'{NaN,1.00,Infinity,NULL}'"]),
            kind(
                "double precision[]",
                &["'{NaN,-0,0.1,5e-324}' ", "ARRAY[0.1::float8 + 0.2]"],
            ),
            kind("boolean[]", &["'{t,f,NULL}'"]),
            kind("bytea[]", &[r"ARRAY['\x00', '\x5c22', '', NULL]::bytea[]"]),
            kind(
                "json[]",
                &[r#"ARRAY['{"b": 1, "b":2}', ' null ', NULL]::json[]"#],
            ),
            kind("xml[]", &["ARRAY['<a b=\"c\"/>', 'x', NULL]::xml[]"]),
            kind(
                "timestamp with time zone[]",
                &["'{infinity,0044-03-15 12:00:00+00 BC,2026-10-25 02:30:00+02}'"],
            ),
            kind("interval[]", &["'{-1 mon +1 day -00:00:01,NULL}'"]),
            kind("money[]", &["ARRAY['1234.56', '-0.01', NULL]::money[]"]),
            kind("box[]", &["'{(1,1),(0,0);(3,4),(-1,-0);NULL}'"]),
            kind("int4range[]", &["'{\"[1,3)\",empty,\"(,)\",NULL}'"]),
            kind("mood[]", &[r"ARRAY['NULL', NULL, '', 'ü,{}() \']::mood[]"]),
            kind("short[]", &["'{abc,NULL,\"\"}'"]),
            kind(
                "place[]",
                &["ARRAY[ROW('a \"b\"', '(1,-0)', NULL), NULL, ROW(NULL, NULL, NULL)]::place[]"],
            ),
        ],
    },
    Group {
        name: "ranges",
        kinds: &[
            kind(
                "int4range",
                &["'empty'", "'(,)'", "'[1,5]'", "'[-2147483648,)'"],
            ),
            kind(
                "int8range",
                &["'empty'", "'[9223372036854775806,9223372036854775807)'"],
            ),
            kind(
                "numrange",
                &[
                    "'empty'",
                    "'(,)'",
                    "'[1.0,1.00]'",
                    "'(NaN,]'",
                    "'[-Infinity,Infinity)'",
                ],
            ),
            kind(
                "tsrange",
                &["'[-infinity,infinity]'", "'(0044-03-15 12:00:00.1 BC,)'"],
            ),
            kind(
                "tstzrange",
                &[
                    "'[2026-10-25 02:30:00+02,2026-10-25 02:30:00+01)'",
                    "'empty'",
                ],
            ),
            kind(
                "daterange",
                &["'[0044-03-15 BC,10000-01-01)'", "'[,infinity]'"],
            ),
            kind(
                "text_range",
                &[
                    r#"text_range('', E'a,"b" \\ ()', '[]')"#,
                    "'(,)'",
                    "'[\"\",\"\"]'",
                ],
            ),
            kind(
                "int4multirange",
                &["'{}'", "'{[1,3),[5,7),[9,)}'", "'{(,)}'"],
            ),
            kind("int8multirange", &["'{}'", "'{[-9223372036854775808,0)}'"]),
            kind("nummultirange", &["'{(,1.0),[2.00,NaN]}'"]),
            kind("tsmultirange", &["'{[-infinity,0044-03-15 12:00:00 BC)}'"]),
            kind(
                "tstzmultirange",
                &["'{[2026-10-25 02:30:00+02,2026-10-25 02:30:00+01)}'"],
            ),
            kind(
                "datemultirange",
                &["'{(,0044-03-15 BC),[9999-01-01,10000-01-01)}'"],
            ),
            kind(
                "text_multirange",
                &[r#"text_multirange(text_range('', 'a,"b"}'), text_range('b', NULL))"#],
            ),
        ],
    },
    Group {
        name: "of_users",
        kinds: &[
            kind("mood", &["'sad'", "''", "'NULL'", r"'ü,{}() \'"]),
            kind("\"odd \"\"Type\"\" ü; --\"", &["'x'", "'y'"]),
            kind("short", &["''", "'abcde'", "'a  '"]),
            kind("shorter", &["'abcde'", "'yes'"]),
            kind("code", &["'a'", "'abc'", "''"]),
            kind("spaced", &["'a  '", "''"]),
            Kind {
                type_name: "positive",
                values: &["1", "2147483647"],
                by_text: &[],
                is_not_null: true,
            },
            kind("few", &["'{}'", "'[0:1]={1,NULL}'"]),
            kind("plain_text", &["''", "'Straße'"]),
            kind(
                "place",
                &[
                    r#"ROW('O''Brien, "x" \ ()', '(1,-0)', '0044-03-15 BC')::place"#,
                    "ROW('', NULL, 'infinity')::place",
                    "ROW(NULL, NULL, NULL)::place",
                ],
            ),
            kind(
                "person",
                &[
                    r#"ROW('a', 'it''s "ok"', ROW('"', '(NaN,1)', NULL), '{a,"b ",NULL}', '-0')::person"#,
                    "ROW(NULL, '', ROW(NULL, NULL, NULL), '{}', 'NaN')::person",
                    "ROW(NULL, NULL, NULL, NULL, NULL)::person",
                ],
            ),
            kind("known_place", &["ROW('x', NULL, NULL)::known_place"]),
            kind(
                "house",
                &["ROW(1, ROW('a', NULL, ROW('b', NULL, NULL), NULL, 0.1))::house"],
            ),
        ],
    },
];

/// Built-in types that cannot be shared: their values mean nothing in another database, or PostgreSQL reads no value
/// of them.
pub(super) const LOCAL: &[&str] = &[
    "aclitem",
    "gtsvector",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
];
