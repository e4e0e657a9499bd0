//! What the help of a command says after its options: what is not obvious, and the exit codes.

pub(super) const AFTER_RUN: &str = "\
Destinations:
  --allow HOST opens ports 80 and 443, --allow HOST:PORT that port alone.
  What nothing lists is asked about on the terminal: --unlisted hold, the
  default. Without a terminal, or with --unlisted block, it is refused.

Exit status:
  The command's own; 128 and the signal's number where a signal ended it;
  126 or 127 where it could not be run. 1 where exeat failed, 2 where the
  arguments are wrong.";

pub(super) const AFTER_DIFF: &str = "\
Lines begin with + where something may be reached or asked for that could
not, - where something no longer can, ~ where both or neither is certain,
= where nothing changes but the policy's own tests.

Exit status:
  0 nothing becomes reachable that was not, 10 something does or may. 1
  where exeat failed, 2 where the arguments are wrong.";

pub(super) const AFTER_REPLAY: &str = "\
Each attempt that the journal tells of is decided again by its name, with
no approval in force. What it depends on that is not recorded, such as a
query, is said and never guessed.

Exit status:
  0 nothing becomes reachable that was not, 10 something does or may. 1
  where exeat failed, 2 where the arguments are wrong.";

pub(super) const AFTER_SUGGEST: &str = "\
Nothing but hosts of presets is in force in it; every other rule begins
with # and waits for you. It has no [[identify]]: take that from the file
in force.";

pub(super) const AFTER_EXPLAIN: &str = "\
It goes by the files: approvals and the quiet time of a running exeat are
not considered. Without a port it is 443.

Exit status:
  0 allow, 10 hold, 11 block, 12 depends on the request. 1 where exeat
  failed, 2 where the arguments are wrong.";

pub(super) const AFTER_VERIFY: &str = "\
It reads every line, changes nothing, and may run beside a running exeat.

Exit status:
  0 the journal is what was written, 1 it is not or exeat failed, 2 where
  the arguments are wrong.";
