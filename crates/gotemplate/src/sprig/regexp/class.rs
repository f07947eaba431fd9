//! Named character classes: Perl's, POSIX's, and Unicode's as Go names them.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// Scripts that Go reaches by name. Names with an underscore (`Old_Italic`) are missing on purpose:
/// Go 1.25 and later drop the underscore before looking a script up, and so never find them.
const SCRIPTS: &[&str] = &[
    "Adlam",
    "Ahom",
    "Arabic",
    "Armenian",
    "Avestan",
    "Balinese",
    "Bamum",
    "Batak",
    "Bengali",
    "Bhaiksuki",
    "Bopomofo",
    "Brahmi",
    "Braille",
    "Buginese",
    "Buhid",
    "Carian",
    "Chakma",
    "Cham",
    "Cherokee",
    "Chorasmian",
    "Common",
    "Coptic",
    "Cuneiform",
    "Cypriot",
    "Cyrillic",
    "Deseret",
    "Devanagari",
    "Dogra",
    "Duployan",
    "Elbasan",
    "Elymaic",
    "Ethiopic",
    "Garay",
    "Georgian",
    "Glagolitic",
    "Gothic",
    "Grantha",
    "Greek",
    "Gujarati",
    "Gurmukhi",
    "Han",
    "Hangul",
    "Hanunoo",
    "Hatran",
    "Hebrew",
    "Hiragana",
    "Inherited",
    "Javanese",
    "Kaithi",
    "Kannada",
    "Katakana",
    "Kawi",
    "Kharoshthi",
    "Khmer",
    "Khojki",
    "Khudawadi",
    "Lao",
    "Latin",
    "Lepcha",
    "Limbu",
    "Lisu",
    "Lycian",
    "Lydian",
    "Mahajani",
    "Makasar",
    "Malayalam",
    "Mandaic",
    "Manichaean",
    "Marchen",
    "Medefaidrin",
    "Miao",
    "Modi",
    "Mongolian",
    "Mro",
    "Multani",
    "Myanmar",
    "Nabataean",
    "Nandinagari",
    "Newa",
    "Nko",
    "Nushu",
    "Ogham",
    "Oriya",
    "Osage",
    "Osmanya",
    "Palmyrene",
    "Phoenician",
    "Rejang",
    "Runic",
    "Samaritan",
    "Saurashtra",
    "Sharada",
    "Shavian",
    "Siddham",
    "Sinhala",
    "Sogdian",
    "Soyombo",
    "Sundanese",
    "Sunuwar",
    "Syriac",
    "Tagalog",
    "Tagbanwa",
    "Takri",
    "Tamil",
    "Tangsa",
    "Tangut",
    "Telugu",
    "Thaana",
    "Thai",
    "Tibetan",
    "Tifinagh",
    "Tirhuta",
    "Todhri",
    "Toto",
    "Ugaritic",
    "Vai",
    "Vithkuqi",
    "Wancho",
    "Yezidi",
    "Yi",
];

/// Go's names of general categories besides the one- and two-letter ones, without underscores.
const CATEGORY_ALIASES: &[(&str, &str)] = &[
    ("Casedletter", "LC"),
    ("Closepunctuation", "Pe"),
    ("Combiningmark", "M"),
    ("Connectorpunctuation", "Pc"),
    ("Control", "Cc"),
    ("Cntrl", "Cc"),
    ("Currencysymbol", "Sc"),
    ("Dashpunctuation", "Pd"),
    ("Decimalnumber", "Nd"),
    ("Digit", "Nd"),
    ("Enclosingmark", "Me"),
    ("Finalpunctuation", "Pf"),
    ("Format", "Cf"),
    ("Initialpunctuation", "Pi"),
    ("Letter", "L"),
    ("Letternumber", "Nl"),
    ("Lineseparator", "Zl"),
    ("Lowercaseletter", "Ll"),
    ("Mark", "M"),
    ("Mathsymbol", "Sm"),
    ("Modifierletter", "Lm"),
    ("Modifiersymbol", "Sk"),
    ("Nonspacingmark", "Mn"),
    ("Number", "N"),
    ("Openpunctuation", "Ps"),
    ("Other", "C"),
    ("Otherletter", "Lo"),
    ("Othernumber", "No"),
    ("Otherpunctuation", "Po"),
    ("Othersymbol", "So"),
    ("Paragraphseparator", "Zp"),
    ("Privateuse", "Co"),
    ("Punctuation", "P"),
    ("Punct", "P"),
    ("Separator", "Z"),
    ("Spaceseparator", "Zs"),
    ("Spacingmark", "Mc"),
    ("Surrogate", "Cs"),
    ("Symbol", "S"),
    ("Titlecaseletter", "Lt"),
    ("Unassigned", "Cn"),
    ("Uppercaseletter", "Lu"),
];

/// The one- and two-letter categories.
const CATEGORIES: &[&str] = &[
    "C", "Cc", "Cf", "Cn", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd",
    "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp",
    "Zs",
];

/// A class of the given inclusive ranges.
pub(super) fn ranges(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|&(start, end)| ClassUnicodeRange::new(start, end)))
}

/// The class of code points `low..=high`; surrogates, which Go lets a pattern name, match nothing.
pub(super) fn code_points(low: u32, high: u32) -> ClassUnicode {
    let mut class = ClassUnicode::empty();
    for (low, high) in [(low, high.min(0xd7ff)), (low.max(0xe000), high)] {
        if let (Some(low), Some(high)) = (char::from_u32(low), char::from_u32(high))
            && low <= high
        {
            class.push(ClassUnicodeRange::new(low, high));
        }
    }
    class
}

/// The class behind `\d`, `\S` and the like, before negation, and whether it is negated.
pub(super) fn perl(letter: u8) -> Option<(ClassUnicode, bool)> {
    let class = match letter.to_ascii_lowercase() {
        b'd' => ranges(&[('0', '9')]),
        b's' => ranges(&[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')]),
        b'w' => ranges(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        _ => return None,
    };
    Some((class, letter.is_ascii_uppercase()))
}

/// The class behind `[:alnum:]`, given without the brackets and colons and without `^`.
pub(super) fn posix(name: &[u8]) -> Option<ClassUnicode> {
    Some(match name {
        b"alnum" => ranges(&[('0', '9'), ('A', 'Z'), ('a', 'z')]),
        b"alpha" => ranges(&[('A', 'Z'), ('a', 'z')]),
        b"ascii" => ranges(&[('\0', '\x7f')]),
        b"blank" => ranges(&[('\t', '\t'), (' ', ' ')]),
        b"cntrl" => ranges(&[('\0', '\x1f'), ('\x7f', '\x7f')]),
        b"digit" => ranges(&[('0', '9')]),
        b"graph" => ranges(&[('!', '~')]),
        b"lower" => ranges(&[('a', 'z')]),
        b"print" => ranges(&[(' ', '~')]),
        b"punct" => ranges(&[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
        b"space" => ranges(&[('\t', '\r'), (' ', ' ')]),
        b"upper" => ranges(&[('A', 'Z')]),
        b"word" => ranges(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        b"xdigit" => ranges(&[('0', '9'), ('A', 'F'), ('a', 'f')]),
        _ => return None,
    })
}

/// The class behind `\p{name}`, before negation.
pub(super) fn unicode(name: &str) -> Option<ClassUnicode> {
    let name = canonical_name(name);
    let property = match name.as_str() {
        "Any" => return Some(ranges(&[('\0', char::MAX)])),
        "Ascii" => return Some(ranges(&[('\0', '\x7f')])),
        "Assigned" => {
            let mut class = property_class("gc=Cn")?;
            class.negate();
            return Some(class);
        }
        "Lc" => "gc=LC".to_owned(),
        // Surrogates cannot occur in the text the matcher sees.
        "Cs" | "Surrogate" => return Some(ClassUnicode::empty()),
        name if CATEGORIES.contains(&name) => format!("gc={name}"),
        name if SCRIPTS.contains(&name) => format!("sc={name}"),
        name => {
            let (_, category) = CATEGORY_ALIASES.iter().find(|(alias, _)| *alias == name)?;
            format!("gc={category}")
        }
    };
    property_class(&property)
}

fn property_class(property: &str) -> Option<ClassUnicode> {
    let hir = regex_syntax::parse(&format!(r"\p{{{property}}}")).ok()?;
    match hir.into_kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class),
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).ok()?;
            let rune = text.chars().next()?;
            Some(ranges(&[(rune, rune)]))
        }
        _ => None,
    }
}

/// Go's lookup key: no underscores, hyphens and spaces, one leading capital.
fn canonical_name(name: &str) -> String {
    let mut canonical = String::with_capacity(name.len());
    for c in name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')) {
        canonical.push(if canonical.is_empty() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
    }
    canonical
}
