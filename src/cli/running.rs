//! The running agent, as commands ask it.

use super::failure::Failure;
use crate::config::{self, Environment};
use crate::control::{Answer, Client, ClientError, Request};
use crate::term::{Inspect, Term};

/// A shell in the running agent.
pub(super) struct Running {
    pub(super) client: Client,
}

/// What an expression came to.
pub(super) enum Evaluated {
    Value(Term, String),
    Nothing,
}

/// What comes before the value.
pub(super) enum Said<'a> {
    Output(&'a str),
    Message(&'a Term),
}

impl Running {
    pub(super) fn connect() -> Result<Self, Failure> {
        Ok(Self::reach()?)
    }

    /// The same, for whoever wants to know why not.
    pub(super) fn reach() -> Result<Self, ClientError> {
        let client = Client::connect(&config::data_dir(&Environment::read()))?;
        Ok(Self { client })
    }

    /// Evaluates an expression; `told` gets what it prints, and what is sent to it where that is followed.
    pub(super) fn eval(
        &mut self,
        expression: &str,
        mut told: impl FnMut(Said<'_>) -> Result<(), Failure>,
    ) -> Result<Evaluated, Failure> {
        self.client.send(&Request::Eval(expression.to_owned()))?;
        loop {
            match self.client.receive()? {
                Answer::Output(text) => told(Said::Output(&text))?,
                Answer::Message(message) => told(Said::Message(&message))?,
                Answer::Value(value, shown) => return Ok(Evaluated::Value(value, shown)),
                Answer::Nothing => return Ok(Evaluated::Nothing),
                Answer::Error(text) => return Err(Failure::new(text)),
                Answer::More => return Err(Failure::usage("the expression is not complete")),
                Answer::Prompt(_) | Answer::Completion(_) => {}
            }
        }
    }

    /// The value of a function of the node.
    pub(super) fn call(&mut self, function: &str, args: &[Term]) -> Result<Term, Failure> {
        self.call_text(&expression(function, args))
    }

    /// The value of an expression.
    pub(super) fn call_text(&mut self, expression: &str) -> Result<Term, Failure> {
        match self.eval(expression, |_| Ok(())).map_err(Failure::of_arguments)? {
            Evaluated::Value(value, _) => Ok(value),
            Evaluated::Nothing => Ok(Term::NIL),
        }
    }
}

/// A call as it is written. Texts in it stay texts: `inspect` leaves nothing in them that would be code.
pub(super) fn expression(function: &str, args: &[Term]) -> String {
    let args: Vec<String> = args.iter().map(|arg| Inspect::short(arg, usize::MAX)).collect();
    format!("{function}({})", args.join(", "))
}
