//! Requests and answers, as terms.

use bytes::Bytes;

use crate::limits;
use crate::shell::Completion;
use crate::term::{Term, atom, binary, budget, codec, list, tuple};

/// What a command asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Evaluate a line.
    Eval(String),
    /// How does a line go on?
    Complete(String),
    /// What stands before the next line?
    Prompt,
    /// Forget what was begun.
    Forget,
    /// Pass on what is sent to the shell's process.
    Follow,
    /// Lines have so many columns.
    Columns(usize),
}

/// What the agent says.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The expression printed this.
    Output(String),
    /// Its value, and how it is shown.
    Value(Term, String),
    /// The next line goes on with it.
    More,
    /// There is nothing to show.
    Nothing,
    /// What went wrong.
    Error(String),
    /// How a line goes on.
    Completion(Completion),
    /// The prompt.
    Prompt(String),
    /// A message to the shell's process.
    Message(Term),
}

/// Frames have their length in four bytes before them.
pub(super) const HEAD: usize = 4;

/// A term behind its length.
pub(super) fn framed(term: &Term) -> Result<Vec<u8>, codec::EncodeError> {
    let mut out = vec![0; HEAD];
    codec::encode(term, &mut out)?;
    let length = out.len() - HEAD;
    let head = u32::try_from(length).map_err(|_| codec::EncodeError::Length { length })?;
    if let Some(place) = out.first_chunk_mut::<HEAD>() {
        *place = head.to_be_bytes();
    }
    Ok(out)
}

/// The length that a head announces, if it is not more than is taken.
pub(super) fn length(head: [u8; HEAD], most: usize) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(head)).ok().filter(|length| *length <= most)
}

/// The term in a frame, if it is one of a bearable size.
pub(super) fn decoded(frame: Vec<u8>) -> Option<Term> {
    budget::measure(&frame, limits::TERM_MEMORY_BYTES).ok()?;
    codec::decode(&Bytes::from(frame)).ok()
}

impl Request {
    pub(super) fn term(&self) -> Term {
        let pair = |tag, text: &String| tuple([atom(tag), binary(text.as_str())]);
        match self {
            Self::Eval(line) => pair("eval", line),
            Self::Complete(line) => pair("complete", line),
            Self::Prompt => atom("prompt"),
            Self::Forget => atom("forget"),
            Self::Follow => atom("follow"),
            Self::Columns(columns) => tuple([atom("columns"), Term::from(*columns)]),
        }
    }

    pub(super) fn read(term: &Term) -> Option<Self> {
        match (term.as_atom(), term.as_tuple()) {
            (Some("prompt"), _) => Some(Self::Prompt),
            (Some("forget"), _) => Some(Self::Forget),
            (Some("follow"), _) => Some(Self::Follow),
            (_, Some([tag, value])) => match (tag.as_atom()?, value) {
                ("eval", line) => Some(Self::Eval(line.as_text()?.to_owned())),
                ("complete", line) => Some(Self::Complete(line.as_text()?.to_owned())),
                ("columns", Term::Int(columns)) => Some(Self::Columns(usize::try_from(*columns).ok()?)),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Answer {
    pub(super) fn term(&self) -> Term {
        let pair = |tag, text: &String| tuple([atom(tag), binary(text.as_str())]);
        match self {
            Self::Output(text) => pair("output", text),
            Self::Value(value, shown) => tuple([atom("value"), value.clone(), binary(shown.as_str())]),
            Self::More => atom("more"),
            Self::Nothing => atom("nothing"),
            Self::Error(text) => pair("error", text),
            Self::Prompt(text) => pair("prompt", text),
            Self::Completion(completion) => tuple([
                atom("completion"),
                binary(completion.insert.as_str()),
                list(completion.candidates.iter().map(|name| binary(name.as_str()))),
            ]),
            Self::Message(message) => tuple([atom("message"), message.clone()]),
        }
    }

    pub(super) fn read(term: &Term) -> Option<Self> {
        match (term.as_atom(), term.as_tuple()) {
            (Some("more"), _) => Some(Self::More),
            (Some("nothing"), _) => Some(Self::Nothing),
            (_, Some([tag, value])) => match tag.as_atom()? {
                "output" => Some(Self::Output(value.as_text()?.to_owned())),
                "error" => Some(Self::Error(value.as_text()?.to_owned())),
                "prompt" => Some(Self::Prompt(value.as_text()?.to_owned())),
                "message" => Some(Self::Message(value.clone())),
                _ => None,
            },
            (_, Some([tag, value, more])) => match tag.as_atom()? {
                "value" => Some(Self::Value(value.clone(), more.as_text()?.to_owned())),
                "completion" => {
                    let names = more.as_list()?.iter().map(|name| name.as_text().map(str::to_owned));
                    let (insert, candidates) = (value.as_text()?.to_owned(), names.collect::<Option<_>>()?);
                    Some(Self::Completion(Completion { insert, candidates }))
                }
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_comes() {
        let requests = [
            Request::Eval("1 + 1".into()),
            Request::Complete("En".into()),
            Request::Prompt,
            Request::Forget,
            Request::Follow,
            Request::Columns(120),
        ];
        for request in requests {
            let frame = framed(&request.term()).unwrap();
            let (head, body) = frame.split_first_chunk::<HEAD>().unwrap();
            assert_eq!(length(*head, 1000), Some(body.len()));
            assert_eq!(decoded(body.to_vec()).as_ref().and_then(Request::read), Some(request));
        }
        let answers = [
            Answer::Output("é\n".into()),
            Answer::Value(Term::Int(2), "2".into()),
            Answer::More,
            Answer::Nothing,
            Answer::Error("** (exit) :x".into()),
            Answer::Completion(Completion { insert: "um".into(), candidates: vec!["Enum".into()] }),
            Answer::Prompt("iex> ".into()),
            Answer::Message(Term::OK),
        ];
        for answer in answers {
            assert_eq!(Answer::read(&answer.term()), Some(answer));
        }
    }

    #[test]
    fn what_is_no_request_is_none() {
        for term in [Term::NIL, tuple([]), tuple([atom("eval"), Term::Int(1)]), tuple([atom("columns"), Term::Int(-1)])]
        {
            assert_eq!(Request::read(&term), None, "{term:?}");
        }
        assert_eq!(decoded(vec![131, 255]), None);
        assert_eq!(length(u32::MAX.to_be_bytes(), 1000), None);
    }
}
