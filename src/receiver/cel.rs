//! CEL expressions over a delivery: compiled once, checked as far as can be seen without data, and bounded in what they
//! may cost. The functions are those that Flux enables: standard, strings, sets, encoders, optional values.
//!
//! It knows nothing of Receivers: who is filtered by what stands in `filter`, and what tokens must say in `identity`.

mod check;
mod cost;
mod library;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use cel::{Context, IdedExpr};

pub(super) use cost::Data;

/// Longer expressions are refused.
const LONGEST: usize = 4096;
/// Deeper ones, too: evaluation walks down.
const DEEPEST: usize = 100;
/// Parsing and checking walk down before the depth is known.
const STACK: usize = 64 << 20;

/// An expression ready to be evaluated.
#[derive(Clone)]
pub(super) struct Expression(Arc<Compiled>);

struct Compiled {
    text: String,
    tree: IdedExpr,
    shape: cost::Shape,
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expression({:?})", self.0.text)
    }
}

impl Expression {
    /// An expression over these variables whose value must be a boolean, as far as that can be seen beforehand.
    pub(super) fn boolean(text: &str, variables: &'static [&'static str]) -> Result<Self, String> {
        let (expression, kind) = Self::compile(text, variables)?;
        if kind == "bool" {
            Ok(expression)
        } else {
            Err(format!("CEL expression output type mismatch: expected bool, got {kind}"))
        }
    }

    /// An expression of any type.
    pub(super) fn any(text: &str, variables: &'static [&'static str]) -> Result<Self, String> {
        Self::compile(text, variables).map(|(expression, _)| expression)
    }

    fn compile(text: &str, variables: &'static [&'static str]) -> Result<(Self, &'static str), String> {
        let failed = |why: String| format!("failed to parse the CEL expression '{text}': {why}");
        if text.len() > LONGEST {
            return Err(format!("the CEL expression is longer than {LONGEST} bytes"));
        }
        let owned = text.to_owned();
        let compiled = std::thread::Builder::new()
            .name("cel".to_owned())
            .stack_size(STACK)
            .spawn(move || {
                let program = library::environment().compile(&owned).map_err(|errors| errors.to_string())?;
                let mut tree = program.expression().clone();
                if check::depth(&tree) > DEEPEST {
                    return Err(format!("it nests deeper than {DEEPEST} levels"));
                }
                let kind = check::check(&tree, variables, &owned, program.source_info())?;
                let shape = cost::Shape::of(&tree);
                library::bound(&mut tree);
                Ok((tree, kind, shape))
            })
            .map_err(|error| format!("failed to start a thread for a CEL expression: {error}"))?
            .join();
        let (tree, kind, shape) = match compiled {
            Ok(compiled) => compiled.map_err(failed)?,
            Err(_) => return Err(failed("the parser gave up".to_owned())),
        };
        let shape = shape.map_err(|why| format!("failed to create CEL program: {why}"))?;
        Ok((Self(Arc::new(Compiled { text: text.to_owned(), tree, shape })), kind))
    }

    /// Whether it holds for the data.
    pub(super) fn holds(&self, data: &Data) -> Result<bool, String> {
        match self.evaluate(data)? {
            cel::Value::Bool(holds) => Ok(holds),
            other => Err(self.failed(format!("expected bool, got {}", other.type_of()))),
        }
    }

    /// Its value for the data.
    pub(super) fn evaluate(&self, data: &Data) -> Result<cel::Value, String> {
        self.0.shape.afford(data).map_err(|why| self.failed(why))?;
        let run = || {
            let mut context = Context::with_env(Arc::clone(library::environment()));
            for (name, value) in data.variables() {
                context.add_variable_from_value(*name, value.clone());
            }
            cel::Value::resolve(&self.0.tree, &context)
        };
        // The interpreter is somebody else's: its mistakes are this delivery's, not the process's.
        match std::panic::catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failed(error.to_string())),
            Err(_) => Err(self.failed("the interpreter gave up".to_owned())),
        }
    }

    fn failed(&self, why: String) -> String {
        format!("failed to evaluate the CEL expression '{}': {why}", self.0.text)
    }
}

#[cfg(test)]
mod tests;
