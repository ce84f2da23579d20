//! Calls: of the shell's own library, of functions that were written, of the node's tables.

use futures::future::BoxFuture;

use super::{Evaluator, Outcome, Raise, Value, operators, placeholder};
use crate::shell::fault;
use crate::shell::library::{self, Body};
use crate::shell::syntax::Expr;
use crate::shell::value::{Function, Held, Scope, terms};
use crate::term::{Atom, Term, elixir};

impl Evaluator {
    /// `name(args)`, `module.name(args)` or `map.field`.
    pub(super) async fn call_form(
        &mut self,
        (of, name): (Option<&Expr>, &str),
        args: &[Expr],
        (parentheses, scope): (bool, &mut Scope),
    ) -> Outcome {
        let Some(of) = of else {
            if let Some(outcome) = self.control(name, args, scope).await {
                return outcome;
            }
            let args = self.all(args, scope).await?;
            return self.local(name, args).await;
        };
        let of = self.eval(of, scope).await?.term()?;
        if args.is_empty()
            && !parentheses
            && let Term::Map(map) = &of
        {
            let found = map.get_atom(name).cloned();
            let key = || Atom::new(name).map_or(Term::NIL, Term::Atom);
            let missing = || Raise::error(elixir::key_error(key(), of.clone(), None));
            return found.map(Value::Term).ok_or_else(missing);
        }
        let Term::Atom(module) = &of else {
            return Err(fault::unknown_field(name, &of));
        };
        let args = self.all(args, scope).await?;
        self.remote(module, name, args).await
    }

    /// A function of the shell.
    pub(in crate::shell) async fn local(&mut self, name: &str, args: Vec<Value>) -> Outcome {
        if let Some(body) = library::find("", name, args.len()) {
            return self.run_body(body, args).await;
        }
        match <[Term; 2]>::try_from(terms(args)?) {
            Ok([left, right]) => operators::named(name, left, right).map(Value::Term),
            Err(args) => Err(fault::undefined(None, name, args.len())),
        }
    }

    /// A function of a module: of the shell's library, or of the node's tables.
    pub(in crate::shell) async fn remote(&mut self, module: &Atom, name: &str, args: Vec<Value>) -> Outcome {
        if let Some(body) = library::find(module.as_str(), name, args.len()) {
            return self.run_body(body, args).await;
        }
        if module.as_str() == "Elixir.Kernel" {
            return self.local(name, args).await;
        }
        let arity = args.len();
        let node = self.context.node.clone();
        if !node.exports(module.as_str(), name, arity) {
            return Err(fault::undefined(Some((&node, module.as_str())), name, arity));
        }
        let function = Atom::new(name).map_err(|e| Raise::argument(e.to_string()))?;
        node.call(self.context.clone(), (module.clone(), function), terms(args)?).await.map(Value::Term)
    }

    async fn run_body(&mut self, body: Body, args: Vec<Value>) -> Outcome {
        match body {
            Body::Pure(body) => body(&terms(args)?).map(Value::Term),
            Body::Shell(body) => body(self, args).await,
            Body::Node(module, function) => {
                let call = (Atom::from_static(module), Atom::from_static(function));
                let node = self.context.node.clone();
                node.call(self.context.clone(), call, terms(args)?).await.map(Value::Term)
            }
        }
    }

    /// Calls a function that is a value.
    pub(in crate::shell) fn apply<'a>(&'a mut self, function: &'a Value, args: Vec<Value>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let function = match function {
                Value::Function(function) => function.clone(),
                Value::Term(term) => return Err(fault::about("badfun", term.clone())),
            };
            self.step().await?;
            if function.arity() != args.len() {
                let message = format!("a function of {} arguments was called with {}", function.arity(), args.len());
                return Err(Raise::error(elixir::exception("Elixir.BadArityError", [("message", message.into())])));
            }
            match &*function {
                Function::Clauses(clauses, scope, _) => {
                    let Some((mut inner, body)) = self.choose(clauses, &args, scope).await? else {
                        let message = format!("no function clause matching {:?}", Term::Tuple(terms(args)?));
                        let fields = [("message", message.into())];
                        return Err(Raise::error(elixir::exception("Elixir.FunctionClauseError", fields)));
                    };
                    self.eval(body, &mut inner).await
                }
                Function::Capture(body, _, scope, _) => {
                    let mut inner = scope.clone();
                    for (at, value) in args.into_iter().enumerate() {
                        inner.insert(placeholder(at + 1), Held::new(&self.meter, value)?);
                    }
                    self.eval(body, &mut inner).await
                }
                Function::Named(module, name, _) => {
                    let mut share = self.meter.share();
                    args.iter().try_for_each(|arg| share.add(arg))?;
                    match module {
                        Some(module) => self.remote(module, name, args).await,
                        None => self.local(name, args).await,
                    }
                }
            }
        })
    }

    /// Calls a function whose answer is data.
    pub(in crate::shell) async fn apply_to(&mut self, function: &Value, args: &[Term]) -> Result<Term, Raise> {
        let args = args.iter().cloned().map(Value::Term).collect();
        self.apply(function, args).await?.term()
    }

    /// Calls a function with the elements of a collection, of which a map's are pairs.
    pub(in crate::shell) async fn apply_each(&mut self, function: &Value, all: &[Term]) -> Result<Vec<Term>, Raise> {
        let (mut results, mut share) = (Vec::with_capacity(all.len()), self.meter.share());
        for element in all {
            let result = self.apply_to(function, std::slice::from_ref(element)).await?;
            share.add_term(&result)?;
            results.push(result);
        }
        Ok(results)
    }
}
