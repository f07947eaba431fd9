//! Which policies an automation takes into account: those of its namespace that it selects and that have an image.

use flux_api::{FluxObject, ImageRef, ImageUpdateAutomation, reason};

use super::super::context::Inner;
use super::plan::Problem;
use crate::model::Kind;

/// The selected policies and their images, by name.
pub(super) fn selected(
    inner: &Inner,
    automation: &ImageUpdateAutomation,
) -> Result<Vec<(String, ImageRef)>, Problem> {
    let selector = automation.spec.policy_selector.as_ref();
    if let Some(problem) = selector.and_then(flux_api::LabelSelector::problem) {
        let message = format!("failed to parse policy selector: {problem}");
        return Err(Problem::stalled(reason::INVALID_POLICY_SELECTOR, message));
    }
    let mut selected: Vec<(String, ImageRef)> = inner
        .objects
        .list(Kind::ImagePolicy)
        .iter()
        .filter_map(|object| {
            let FluxObject::ImagePolicy(policy) = &**object else { return None };
            let ours = policy.metadata.namespace == automation.metadata.namespace
                && selector.is_none_or(|selector| selector.matches(&policy.metadata.labels));
            let image = policy.status.latest_ref.clone().filter(|_| ours)?;
            Some((policy.metadata.name.clone(), image))
        })
        .collect();
    selected.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(selected)
}
