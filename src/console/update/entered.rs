//! A line that was entered goes to whoever takes lines of its kind. One that is not taken comes back with the reason.

use super::{commands, log_keys, page, prompt};
use crate::console::model::{Model, Prompt, PromptKind};
use crate::console::msg::Effect;

pub fn line(model: &mut Model, mut prompt: Prompt) -> Vec<Effect> {
    let line = prompt.line.text().trim().to_owned();
    let result = match prompt.kind {
        // It has been applied while it was typed.
        PromptKind::Filter => Ok(Vec::new()),
        PromptKind::Command => commands::typed(model, &line),
        PromptKind::PageSearch => page::searched(model, prompt.line.text()),
        PromptKind::LogSearch | PromptKind::LogFilter | PromptKind::LogTime | PromptKind::LogSave => {
            log_keys::entered(model, prompt.kind, prompt.line.text())
        }
    };
    match result {
        Ok(effects) => {
            prompt::remember(model, prompt.kind, &line);
            effects
        }
        Err(why) => {
            prompt.error = Some(why);
            model.prompt = Some(prompt);
            Vec::new()
        }
    }
}
