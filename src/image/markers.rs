//! Markers: the comments that say which scalar of a YAML file a policy sets.
//!
//! Found by kyaml's rules, for they decide what Flux changes: the comment at the end of the scalar's line, else the one
//! before it; only values and items, never keys; an alias is left alone, what it refers to is not. Changes nothing.

use std::collections::{BTreeMap, HashSet};

use goyaml::node::{Content, Node};

/// What a file must contain to be looked at.
pub(super) const TOKEN: &str = "\"$imagepolicy\"";

/// The key of a marker.
const KEY: &str = "$imagepolicy";

/// A scalar and the setter its marker names: `namespace:policy`, then perhaps `:name`, `:tag` or `:digest`.
#[derive(Debug, PartialEq)]
pub(super) struct Marked<'n> {
    pub(super) scalar: &'n Node,
    pub(super) setter: String,
}

/// The marked scalars below a node, in the order of the text.
pub(super) fn marked(node: &Node) -> Vec<Marked<'_>> {
    let mut found = Vec::new();
    visit(node, "", &mut found);
    found
}

/// `above` is the comment of a list that stands before the list's first item.
fn visit<'n>(node: &'n Node, above: &str, found: &mut Vec<Marked<'n>>) {
    match &node.content {
        Content::Scalar(_) => {
            let head = if node.head_comment.is_empty() { above } else { &node.head_comment };
            let comment = if node.line_comment.is_empty() { head } else { &node.line_comment };
            // A value that is not there takes no comment.
            if !node.span.is_empty()
                && let Some(setter) = setter(comment)
            {
                found.push(Marked { scalar: node, setter });
            }
        }
        Content::Sequence(items) => {
            for (i, item) in items.iter().enumerate() {
                visit(item, if i == 0 { &node.head_comment } else { "" }, found);
            }
        }
        Content::Mapping(entries) => {
            let mut seen = HashSet::with_capacity(entries.len());
            for (key, value) in entries {
                // Of keys with one name kyaml finds the first only.
                if key.as_scalar().is_none_or(|name| seen.insert(name)) {
                    visit(value, "", found);
                }
            }
        }
        Content::Alias(_) => {}
    }
}

/// The setter that a comment names, if the comment is a marker and nothing else.
fn setter(comment: &str) -> Option<String> {
    if !comment.contains(KEY) {
        return None;
    }
    let text = comment.trim_start_matches('#');
    let mut fields: BTreeMap<String, Option<String>> = serde_json::from_str(text).ok()?;
    fields.remove(KEY).flatten().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_a_marker_only_as_a_whole() {
        for (comment, expected) in [
            ("# {\"$imagepolicy\": \"ns:p\"}", Some("ns:p")),
            ("#{\"$imagepolicy\":\"ns:p:tag\"}", Some("ns:p:tag")),
            ("## { \"$imagepolicy\" : \"ns:p\", \"other\": \"z\" }", Some("ns:p")),
            ("# {\"$imagepolicy\": \"ns:p\", \"other\": null}", Some("ns:p")),
            ("# {\"$imagepolicy\": \"ns:p\"} # more", None),
            ("# see {\"$imagepolicy\": \"ns:p\"}", None),
            ("# first\n# {\"$imagepolicy\": \"ns:p\"}", None),
            ("# {\"$imagepolicy\": \"ns:p\", \"other\": 1}", None),
            ("# {\"$imagepolicy\": \"\"}", None),
            ("# {\"$imagepolicy\": [\"ns:p\"]}", None),
            ("# $imagepolicy", None),
            ("# {\"$openapi\": \"ns:p\"}", None),
            ("", None),
        ] {
            assert_eq!(setter(comment).as_deref(), expected, "{comment}");
        }
    }
}
