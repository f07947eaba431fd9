//! `spec.resourceFilter` and `resources[].filter`: which of the listed objects a delivery is for.
//!
//! Both must hold for an object to be woken. An expression that cannot be evaluated wakes nothing, and says so.

use std::sync::Arc;

use flux_api::{FluxObject, Receiver, ReceiverType};
use serde_json::{Map, Value, json};

use super::cel::{Data, Expression};
use super::facts::Malformed;
use super::plan::Listed;

/// Bodies that expressions are evaluated over are no longer: Flux's own limit for all.
pub(super) const LONGEST_BODY: usize = 3 << 20;
/// And they hold no more values.
const MOST_VALUES: usize = 200_000;

/// The compiled expressions of a Receiver.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters {
    all: Option<Expression>,
    /// By the place in `spec.resources`.
    each: Vec<Option<Expression>>,
}

impl Filters {
    /// Compiles them; the error is Flux's.
    pub(super) fn compile(receiver: &Receiver) -> Result<Self, String> {
        let spec = &receiver.spec;
        let variables: &'static [&'static str] = match spec.receiver_type() {
            ReceiverType::GenericOidc => &["res", "req", "claims"],
            _ => &["res", "req"],
        };
        let compile = |text: Option<&str>| {
            text.filter(|text| !text.is_empty()).map(|text| Expression::boolean(text, variables)).transpose()
        };
        let all = compile(spec.resource_filter.as_deref())
            .map_err(|error| format!("invalid resourceFilter expression: {error}"))?;
        let each = spec.resources.iter().enumerate().map(|(n, one)| {
            compile(one.filter.as_deref()).map_err(|error| {
                let (kind, name) = (&one.kind, &one.name);
                format!(
                    "invalid filter expression for resources[{n}] (kind={kind:?}, name={name:?}): {error}"
                )
            })
        });
        Ok(Self { all, each: each.collect::<Result<_, _>>()? })
    }

    /// There is nothing to evaluate.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_none() && self.each.iter().all(Option::is_none)
    }

    /// Those of the listed objects that the delivery is for, and what is wrong with the expressions.
    pub(super) fn apply(
        &self,
        listed: Vec<Listed>,
        request: &Value,
        claims: Option<&Map<String, Value>>,
    ) -> (Vec<Listed>, Vec<String>) {
        let mut data = Data::default().one_of(listed.len()).with("req", request);
        if let Some(claims) = claims {
            data = data.with("claims", &Value::Object(claims.clone()));
        }
        let (mut kept, mut problems) = (Vec::new(), Vec::new());
        let mut left_out = 0_usize;
        for one in listed {
            let own = self.each.get(one.selector).and_then(Option::as_ref);
            let data = data.clone().with("res", &partial(&one.object));
            let mut wanted = Ok(true);
            for expression in self.all.iter().chain(own) {
                if wanted == Ok(true) {
                    wanted = expression.holds(&data);
                }
            }
            match wanted {
                Ok(true) => kept.push(one),
                Ok(false) => left_out += 1,
                Err(error) => {
                    if !problems.contains(&error) {
                        problems.push(error);
                    }
                }
            }
        }
        if left_out > 0 {
            problems.push(format!("left out by CEL: {left_out}"));
        }
        (kept, problems)
    }
}

/// What an expression sees of an object: as much as Kubernetes shows of one whose kind is not known.
fn partial(object: &Arc<FluxObject>) -> Value {
    let whole = object.to_json();
    json!({ "apiVersion": whole["apiVersion"], "kind": whole["kind"], "metadata": whole["metadata"] })
}

/// What an expression sees of the body: all of it if it is said to be JSON, else nothing.
pub(super) fn request(headers: &http::HeaderMap, body: &[u8]) -> Result<Value, Malformed> {
    let content_type = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = content_type.unwrap_or_default().split(',').any(|one| {
        one.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    if !is_json {
        return Ok(json!({}));
    }
    let values = body.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    if values > MOST_VALUES {
        return Err(Malformed::new(format!("the body has more than {MOST_VALUES} values")));
    }
    let read: Option<Map<String, Value>> = super::json::read(body)?;
    Ok(Value::Object(read.unwrap_or_default()))
}
