//! The last pieces of a prompt, which say what the model is to do now (plan, write a module, correct it). The descriptor
//! of the purpose words them.

use async_trait::async_trait;
use journeyman_event::payload::Form;

use super::{Source, SourceInput};
use crate::forms::asserts;
use crate::piece::Piece;
use crate::purpose::Descriptor;

/// The source of what the model is asked to do.
pub(crate) struct Request;

#[async_trait]
impl Source for Request {
    async fn pieces(&self, input: SourceInput<'_>) -> Vec<Piece> {
        let module = input.module.filter(|_| input.form == Form::Asserts);
        let restated = module.and_then(|module| asserts(input.state, module));
        let asked = (Descriptor::of(input.purpose).request)(input.state, input.module);
        restated.into_iter().chain(asked).collect()
    }
}
