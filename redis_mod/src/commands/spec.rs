//! What a command is: its name, flags, keys and documentation, and the function that runs it.

use crate::api::Ctx;
use crate::api::args::Args;
use crate::failure::Failure;
use std::ffi::CStr;

/// One command.
pub trait Command {
    const SPEC: Spec;

    /// Runs the command and replies, or says why not. A command that fails has replied nothing.
    fn run(call: &Call<'_>) -> Result<(), Failure>;

    /// Hands the positions of the keys to `found`, for commands with [`Keys::Asked`].
    fn keys(_args: &Args<'_>, _found: &mut dyn FnMut(usize)) {}
}

/// A running command.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub ctx: Ctx,
    pub args: Args<'a>,
}

/// The description of a command, from which it is registered and `COMMAND DOCS` answers.
pub struct Spec {
    pub name: &'static CStr,
    /// Redis' command flags.
    pub flags: &'static CStr,
    /// Number of arguments with the name; negative for at least that many.
    pub arity: i32,
    pub keys: Keys,
    pub access: Access,
    pub summary: &'static CStr,
    pub complexity: &'static CStr,
    pub args: &'static [Arg],
}

/// Where the keys are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    None,
    /// The first argument.
    First,
    /// From this position to the end, every `step` arguments.
    Every {
        first: i32,
        step: i32,
    },
    /// Where [`Command::keys`] says.
    Asked,
}

/// What happens to the keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Update,
    Insert,
    Delete,
}

/// The documentation of one argument.
pub struct Arg {
    pub name: &'static CStr,
    pub kind: Kind,
    pub token: Option<&'static CStr>,
    pub optional: bool,
    pub multiple: bool,
}

pub enum Kind {
    Text,
    Integer,
    Double,
    Key,
    Time,
    /// A word that stands for itself.
    Word,
    Block(&'static [Arg]),
    OneOf(&'static [Arg]),
}

impl Arg {
    pub const fn new(name: &'static CStr, kind: Kind) -> Arg {
        Arg { name, kind, token: None, optional: false, multiple: false }
    }

    pub const fn multiple(mut self) -> Arg {
        self.multiple = true;
        self
    }

    /// An optional argument after a word.
    pub const fn option(name: &'static CStr, token: &'static CStr, kind: Kind) -> Arg {
        Arg { name, kind, token: Some(token), optional: true, multiple: false }
    }
}

pub const KEY: Arg = Arg::new(c"key", Kind::Key);
pub const SOURCE: Arg = Arg::new(c"source", Kind::Text);
pub const DURATION: Arg = Arg::new(c"duration", Kind::Text);

/// `time|*`, then pairs.
pub const TIME_OR_NOW: Arg = Arg::new(
    c"time",
    Kind::OneOf(&[Arg::new(c"time", Kind::Time), Arg { token: Some(c"*"), ..Arg::new(c"now", Kind::Word) }]),
);

pub const MEASURE_VALUES: Arg =
    Arg::new(c"sample", Kind::Block(&[Arg::new(c"measure", Kind::Text), Arg::new(c"value", Kind::Double)])).multiple();

pub const MEASURES: Arg = Arg::option(
    c"measures",
    c"MEASURES",
    Kind::Block(&[Arg::new(c"count", Kind::Integer), Arg::new(c"measure", Kind::Text).multiple()]),
);

pub const AGG: Arg = Arg::option(
    c"aggregates",
    c"AGG",
    Kind::Block(&[Arg::new(c"count", Kind::Integer), Arg::new(c"aggregate", Kind::Text).multiple()]),
);

pub const AT: Arg = Arg::option(c"at", c"AT", Kind::Time);
pub const FROM: Arg = Arg::new(c"from", Kind::Time);
pub const TO: Arg = Arg::new(c"to", Kind::Time);
pub const COUNT: Arg = Arg::option(c"count", c"COUNT", Kind::Integer);
pub const BUCKET: Arg = Arg::option(c"bucket", c"BUCKET", Kind::Text);
pub const ALIGN: Arg = Arg::option(c"align", c"ALIGN", Kind::Time);
pub const GRID: Arg = Arg::option(c"grid", c"GRID", Kind::Word);
pub const PACKED: Arg = Arg::option(c"packed", c"PACKED", Kind::Word);
pub const STATE: Arg = Arg::option(c"state", c"STATE", Kind::Word);
