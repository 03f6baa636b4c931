//! Answers that a test writes down, text by text.

use std::collections::BTreeMap;

use super::answer::Answer;
use super::login::Login;
use super::request::{Request, normal};
use super::session::Session;
use super::token::ServerError;
use super::{Admission, Answers};

type Make = Box<dyn Fn(&Request) -> Answer + Send + Sync>;

/// Texts and what they are answered with, as often as they are asked; and who may log in.
#[derive(Default)]
pub(crate) struct Script {
    answers: BTreeMap<String, Make>,
    password: Option<(String, String)>,
    databases: Option<Vec<String>>,
    elsewhere: Option<(String, u16)>,
}

impl Script {
    /// Answers this text (blanks and a last `;` do not matter).
    pub(crate) fn on(mut self, text: &str, make: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        self.answers.insert(normal(text), Box::new(make));
        self
    }

    /// Lets only this user in.
    pub(crate) fn user(self, name: &str, password: &str) -> Self {
        Self { password: Some((name.to_owned(), password.to_owned())), ..self }
    }

    /// Sends everybody to another server.
    pub(crate) fn elsewhere(self, host: &str, port: u16) -> Self {
        Self { elsewhere: Some((host.to_owned(), port)), ..self }
    }

    /// Has only these databases.
    pub(crate) fn databases(self, names: &[&str]) -> Self {
        Self { databases: Some(names.iter().map(|name| (*name).to_owned()).collect()), ..self }
    }
}

impl Answers for Script {
    fn admit(&self, login: &Login) -> Admission {
        if let Some((host, port)) = &self.elsewhere {
            return Admission::SentTo(host.clone(), *port);
        }
        let right = |(name, password): &(String, String)| *name == login.user && *password == login.password;
        if !self.password.as_ref().is_none_or(right) {
            return Admission::Refused(vec![ServerError::login_failed(&login.user)]);
        }
        if !self.databases.as_ref().is_none_or(|names| names.contains(&login.database)) {
            let errors = [ServerError::cannot_open(&login.database), ServerError::login_failed(&login.user)];
            return Admission::Refused(errors.into());
        }
        Admission::Welcome
    }

    fn answer(&self, _session: &Session, request: &Request) -> Option<Answer> {
        self.answers.get(&request.normal_text()).map(|make| make(request))
    }
}
