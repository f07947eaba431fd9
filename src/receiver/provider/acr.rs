//! Azure Container Registry: one event of the distribution registry's form. The path is the proof, as in Flux.

use super::Parsed;
use super::distribution::Event;
use crate::receiver::facts::{Facts, Malformed};
use crate::receiver::json;

pub(super) fn parse(body: &[u8]) -> Result<Parsed, Malformed> {
    let mut event: Event = json::read(body)?;
    let (action, id) = (event.action.clone(), event.id.take());
    let change = event.change();
    // What names neither an action nor a repository could be anything: everything listed is looked at, as in Flux.
    let facts = match (&action, &change.repository) {
        (None, None) => Facts::of(change.kind),
        _ => Facts::images(vec![change]),
    };
    Ok(Parsed { facts, event: action, id, request: None })
}
