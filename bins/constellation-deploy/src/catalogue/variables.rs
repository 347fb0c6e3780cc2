//! Secrets for programs that read nothing but variables.

use std::fmt::Display;

use constellation_services::prelude::*;

/// For each name up to `--`: what the file in `<name>_FILE` holds becomes the variable `<name>`; of `<name>=a{}b`, the text
/// behind `=` with that in place of `{}`. An empty file sets nothing, and so does one that there is not. Then it becomes the
/// program behind `--`.
///
/// Only what every shell has built in: some images have a shell and nothing else.
const READ_AND_BECOME: &str = r#"while [ "$1" != -- ]; do
    name=${1%%=*}
    eval "file=\$${name}_FILE"
    secret=
    if [ -n "$file" ]; then IFS= read -r secret < "$file" || :; fi
    case $1 in
    *=*'{}'*) shape=${1#*=}; value=${shape%%'{}'*}$secret${shape#*'{}'} ;;
    *=*) value=${1#*=} ;;
    *) value=$secret ;;
    esac
    if [ -n "$value" ]; then export "$name=$value"; fi
    shift
done
shift
exec "$@""#;

/// Variables that a program has to find secrets in, because it reads no files.
///
/// The secrets stay files: a shell reads them and becomes the program. So the values are in the program's own memory, and
/// neither in the definition nor in what the engine tells of the container.
///
/// ```
/// use constellation_deploy::catalogue::from_files;
/// use constellation_services::prelude::*;
/// let secrets = from_files()
///     .key("openai-api-key.txt", "OPENAI_API_KEY")
///     .address("db-password.txt", "DATABASE_URL", "postgres://app:{}@db:5432/app");
/// let service = Service::new("app", "example/app:1.0").with(secrets.then(&["node", "server.js"]));
/// ```
#[derive(Debug, Default)]
pub struct FromFiles {
    files: Vec<InVariables>,
    words: Vec<String>,
    owner: Option<(u32, u32)>,
}

/// A file, with the variables that say where it is.
#[derive(Debug)]
struct InVariables {
    file: String,
    variables: Vec<String>,
    /// Whether the program does without it.
    optional: bool,
}

/// No variables yet.
pub fn from_files() -> FromFiles {
    FromFiles::default()
}

impl FromFiles {
    /// This variable is the first line of this secret. One secret may be in several variables.
    pub fn key(mut self, file: &str, variable: &str) -> Self {
        self.note(file, variable, false);
        self.words.push(variable.to_owned());
        self
    }

    /// As [`key`](Self::key), for keys of which an operator has some: the program does without the others.
    #[must_use]
    pub fn optional_keys<'a>(mut self, keys: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        for (file, variable) in keys {
            self.note(file, variable, true);
            self.words.push(variable.to_owned());
        }
        self
    }

    /// This variable is an address such as `redis://:{}@redis`, with the secret in place of `{}`. What stands in an address
    /// must be of letters and digits, or be percent-encoded.
    pub fn address(mut self, file: &str, variable: &str, shape: impl Display) -> Self {
        self.note(file, variable, false);
        self.words.push(format!("{variable}={shape}"));
        self
    }

    /// Whose the files are inside, for images that do not start as root.
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = Some((uid, gid));
        self
    }

    fn note(&mut self, file: &str, variable: &str, optional: bool) {
        match self.files.iter_mut().find(|known| known.file == file) {
            Some(known) => {
                known.variables.push(variable.to_owned());
                known.optional &= optional;
            }
            None => {
                let variables = vec![variable.to_owned()];
                self.files.push(InVariables { file: file.to_owned(), variables, optional });
            }
        }
    }

    /// Becomes this program then: the image's own entry point, which a definition cannot ask the image for. The service's
    /// `command` follows it as it would have.
    pub fn then(self, program: &[&str]) -> impl FnOnce(Service) -> Service {
        move |service| {
            let service = self.files.iter().fold(service, |service, known| {
                let whereabouts = known.variables.iter().fold(secret(&known.file), |secret, variable| {
                    secret.env_file(format!("{variable}_FILE"))
                });
                service.secret(if known.optional { whereabouts.optional() } else { whereabouts })
            });
            let start = ["/bin/sh", "-c", READ_AND_BECOME, "sh"].into_iter().map(str::to_owned);
            let end = ["--"].into_iter().chain(program.iter().copied()).map(str::to_owned);
            service.entrypoint(start.chain(self.words).chain(end))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The environment that `env` sees when it is started behind the shell line.
    fn environment(files: &[(&str, &str)], words: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("/bin/sh");
        shell.env_clear().env("PATH", std::env::var("PATH").unwrap());
        for (variable, content) in files {
            let path = folder.path().join(variable);
            std::fs::write(&path, content).unwrap();
            shell.env(format!("{variable}_FILE"), path);
        }
        shell.args(["-c", READ_AND_BECOME, "sh"]).args(words).args(["--", "env"]);
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        format!("\n{}", String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn a_program_finds_in_its_variables_what_the_files_hold() {
        let seen = environment(&[("A", "one two\nnot this\n"), ("B", "$x `y` \"z\"")], &["A", "B"]);
        assert!(seen.contains("\nA=one two\n"), "{seen}");
        assert!(seen.contains("\nB=$x `y` \"z\"\n"), "a value is no shell code: {seen}");
    }

    #[test]
    fn an_empty_or_a_missing_file_sets_nothing() {
        let seen = environment(&[("A", "")], &["A", "GONE", "U=x://{}@h"]);
        assert!(!seen.contains("\nA=") && !seen.contains("GONE"), "{seen}");
        assert!(seen.contains("\nU=x://@h\n"), "an address is one without a password, too: {seen}");
    }

    #[test]
    fn an_address_has_the_secret_in_its_place_and_a_whole_one_stays() {
        let seen = environment(&[("A", "pw"), ("B", "pw")], &["A=redis://u:{}@h:1/0?a={x}", "B=redis://h"]);
        assert!(seen.contains("\nA=redis://u:pw@h:1/0?a={x}\n"), "{seen}");
        assert!(seen.contains("\nB=redis://h\n"), "{seen}");
    }

    #[test]
    fn one_file_is_one_secret_however_many_variables_it_is_in() {
        let service = Service::new("s", "x:1.0")
            .command(["--port", "80"])
            .with(from_files().key("k.txt", "A").key("k.txt", "B").then(&["./run"]));
        let stack = Stack::new("t").service(service);
        let desired =
            constellation_services::render(&[stack], &Config::example(), &Default::default()).unwrap();
        let spec = &desired.services[0].spec;
        assert_eq!(spec.env["A_FILE"], "/run/secrets/k");
        assert_eq!(spec.env["B_FILE"], "/run/secrets/k");
        assert_eq!(spec.mounts.len(), 1);
        assert_eq!(spec.entrypoint.as_ref().unwrap()[3..], ["sh", "A", "B", "--", "./run"]);
        assert_eq!(spec.command.as_ref().unwrap()[..], ["--port", "80"]);
    }
}
