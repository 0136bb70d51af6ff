//! The values that arguments may be.

use ruff_python_ast::{Expr, Number, UnaryOp};

/// A literal.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    None,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Literal>),
}

impl Literal {
    /// Reads an expression that is one.
    pub(super) fn of(expression: &Expr) -> Result<Self, String> {
        match expression {
            Expr::NoneLiteral(_) => Ok(Self::None),
            Expr::BooleanLiteral(literal) => Ok(Self::Bool(literal.value)),
            Expr::StringLiteral(literal) => Ok(Self::Text(literal.value.to_str().to_owned())),
            Expr::NumberLiteral(literal) => number(&literal.value, 1.0),
            Expr::UnaryOp(minus) if minus.op == UnaryOp::USub => match &*minus.operand {
                Expr::NumberLiteral(literal) => number(&literal.value, -1.0),
                _ => Err(unknown()),
            },
            Expr::List(list) => many(&list.elts),
            Expr::Tuple(tuple) => many(&tuple.elts),
            _ => Err(unknown()),
        }
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a truth value",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
        }
    }
}

fn many(expressions: &[Expr]) -> Result<Literal, String> {
    let each = expressions.iter().map(Literal::of);
    each.collect::<Result<_, _>>().map(Literal::List)
}

fn number(number: &Number, sign: f64) -> Result<Literal, String> {
    let value = match number {
        // Every number of a screen or a clock is small enough to be one of these exactly.
        Number::Int(int) => int.as_i32().map(f64::from),
        Number::Float(float) => float.is_finite().then_some(*float),
        Number::Complex { .. } => None,
    };
    let value = value.ok_or("this number is too large, or none that is counted with")?;
    Ok(Literal::Number(sign * value))
}

fn unknown() -> String {
    "an argument is no literal: a number, a string, a list, True, False or None".into()
}
