//! Environment, flags, and where things are without root privileges.

use super::*;

const TWO: &str = "[[root]]\npath = '/scratch'\nprotect = ['a']\n[[root]]\nname = 'a-b.c'\npath = '/other'\n";

fn user(vars: &[(&str, &str)]) -> Environment {
    Environment { is_root: false, uid: 1000, ..as_root(vars) }
}

#[test]
fn the_environment_wins_over_files() {
    let environment = as_root(&[
        ("GUARDIAN_WORKERS", "3"),
        ("GUARDIAN_DRY_RUN", "true"),
        ("GUARDIAN_ROOT_SCRATCH_RETAIN_ORPHANS", "48h"),
        ("GUARDIAN_ROOT_SCRATCH_LIMITS_BATCH", "5"),
        ("GUARDIAN_ROOT_SCRATCH_PROTECT", "b, c"),
        ("GUARDIAN_ROOT_A_B_C_PROTECT", "['x,y']"),
        ("GUARDIAN_ROOT_A_B_C_HIGH_WATER", "90.5"),
        ("GUARDIAN_CONFIG", "/x"),
        ("GUARDIAN_WORKRES", "3"),
        ("PATH", "/bin"),
    ]);
    let settings = settle_all(&[TWO], &environment, &Overrides::default()).unwrap();
    assert_eq!((settings.agent.workers, settings.agent.dry_run), (3, true));
    assert_eq!(settings.roots[0].retain.orphans, Duration::from_secs(48 * 3600));
    assert_eq!(settings.roots[0].limits.batch, 5);
    assert_eq!(settings.roots[0].protect, ["a", "b", "c"]);
    assert_eq!(settings.roots[1].protect, ["x,y"]);
    assert_eq!(settings.roots[1].marks.high, 90.5);
    let warnings: Vec<String> = settings.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "environment variable GUARDIAN_WORKRES: unknown, ignored; did you mean GUARDIAN_WORKERS?",
            "environment variable GUARDIAN_DRY_RUN: dry_run is on: nothing will be removed",
        ]
    );
    assert!(settings.show().contains("name = \"a-b.c\" # 0.toml:5:8"), "{}", settings.show());
}

#[test]
fn a_variable_for_two_roots_is_an_error_and_so_is_a_bad_value() {
    let files = "[[root]]\nname='a-b'\npath='/x'\n[[root]]\nname='a_b'\npath='/y'\n";
    let environment = as_root(&[("GUARDIAN_ROOT_A_B_WARNING", "80"), ("GUARDIAN_WORKERS", "many")]);
    let error = settle_all(&[files], &environment, &Overrides::default()).unwrap_err().to_string();
    assert!(error.contains("environment variable GUARDIAN_ROOT_A_B_WARNING: root.a-b.warning and root.a_b.warning: found one variable for several keys"), "{error}");
    assert!(error.contains("environment variable GUARDIAN_WORKERS: agent.workers: found \"many\"; allowed: a whole number from 0 to 1024"), "{error}");
}

#[test]
fn flags_add_roots_and_win_over_everything() {
    let overrides = Overrides {
        roots: vec!["/scratch/".into(), "sub/t mp".into(), "../up".into(), "sub/./t mp".into()],
        capacity: Some(ByteSize(1000)),
        state_dir: Some("state".into()),
        socket: Some("/s.sock".into()),
        dry_run: true,
        ..Overrides::default()
    };
    let environment = as_root(&[("GUARDIAN_STATE_DIR", "/env"), ("GUARDIAN_DRY_RUN", "false")]);
    let settings = settle_all(&[TWO], &environment, &overrides).unwrap();
    assert_eq!(settings.agent.state_dir, Path::new("/data/dir/state"));
    assert_eq!(settings.agent.socket, Path::new("/s.sock"));
    assert!(settings.agent.dry_run);
    let roots: Vec<_> =
        settings.roots.iter().map(|r| (r.name.as_str(), r.path.to_str().unwrap(), r.capacity)).collect();
    assert_eq!(
        roots,
        [
            ("scratch", "/scratch", Some(1000)),
            ("a-b.c", "/other", None),
            ("t_mp", "/data/dir/sub/t mp", Some(1000)),
            ("up", "/data/up", Some(1000)),
        ]
    );
    let overrides = Overrides { roots: vec!["sub/../x".into()], ..Overrides::default() };
    let error = settle_all(&[], &as_root(&[]), &overrides).unwrap_err().to_string();
    assert!(error.contains("flag --root: root.x: found \"/data/dir/sub/../x\""), "{error}");
    let overrides = Overrides { capacity: Some(ByteSize(1)), ..Overrides::default() };
    assert!(settle_all(&[TWO], &as_root(&[]), &overrides).is_err(), "which of the two roots was meant?");
}

#[test]
fn without_privileges_everything_is_the_users_own() {
    let of = |vars: &[(&str, &str)]| settle_all(&[], &user(vars), &Overrides::default());
    let agent = of(&[("XDG_STATE_HOME", "/st"), ("XDG_RUNTIME_DIR", "/rt")]).unwrap().agent;
    assert_eq!((agent.state_dir, agent.socket), ("/st/guardian".into(), "/rt/guardian/guardian.sock".into()));
    let agent = of(&[("HOME", "/home/u"), ("XDG_STATE_HOME", "relative")]).unwrap().agent;
    assert_eq!(agent.state_dir, Path::new("/home/u/.local/state/guardian"));
    assert_eq!(agent.socket, Path::new("/home/u/.local/state/guardian/guardian.sock"));
    assert!(of(&[]).unwrap_err().to_string().contains("neither XDG_STATE_HOME nor HOME"));
}

#[test]
fn clients_try_the_users_socket_then_the_systems_unless_one_was_asked_for() {
    let tried = |flag: Option<&str>, environment: &Environment| -> Vec<String> {
        let candidates = socket_candidates(flag.map(Path::new), environment);
        candidates.iter().map(|one| one.path.display().to_string()).collect()
    };
    assert_eq!(tried(Some("/f"), &user(&[("GUARDIAN_SOCKET", "/e")])), ["/f"]);
    assert_eq!(tried(None, &user(&[("GUARDIAN_SOCKET", "/e")])), ["/e"]);
    assert_eq!(
        tried(None, &user(&[("XDG_RUNTIME_DIR", "/rt"), ("XDG_STATE_HOME", "/st")])),
        ["/rt/guardian/guardian.sock", "/st/guardian/guardian.sock", "/run/guardian/guardian.sock"]
    );
    assert_eq!(tried(None, &as_root(&[])), ["/run/guardian/guardian.sock"]);
}
