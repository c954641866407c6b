/** The studio's page: signing in, and the view that the address names. */
import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { currentPerson, type Person, signIn, signOut } from './page/api.ts';
import { ErrorNote } from './page/error-note.tsx';
import { Page } from './pages.tsx';
import { Runs } from './runs/runs.tsx';
import './style.css';

/** A link: the token, and the page it opens. */
const LINK = /^#token=([\w-]+)(\/.*)?$/;

/** Signs in with the token of a link, which is removed from the address at once. */
async function enter(): Promise<Person | undefined> {
  const [, token, page = '/'] = LINK.exec(location.hash) ?? [];
  if (token === undefined) return currentPerson();
  history.replaceState(null, '', `#${page}`);
  try {
    return await signIn(token);
  } catch (error) {
    // a link works once, but the one who used it may still be signed in
    const person = await currentPerson();
    if (person) return person;
    throw error;
  }
}

/** Started before the first render, because the address may change by then. */
const entering = enter();

function Studio() {
  const [person, setPerson] = useState<Person | null>();
  const [error, setError] = useState<Error>();
  const [path, setPath] = useState(location.hash);
  useEffect(() => {
    entering.then(
      (signedIn) => setPerson(signedIn ?? null),
      (failure) => {
        setError(failure);
        setPerson(null);
      },
    );
    const moved = () => setPath(location.hash);
    addEventListener('hashchange', moved);
    moved();
    return () => removeEventListener('hashchange', moved);
  }, []);
  if (person === undefined) return <p class="quiet">Loading…</p>;
  if (person === null) return <SignIn initialError={error} onSignIn={setPerson} />;
  return (
    <>
      <nav aria-label="Studio">
        <a href="#/">heed</a>
        <a href="#/runs">Runs</a>
        <a href="#/chat">Chat</a>
        {person.role !== 'annotator' && <a href="#/people">People</a>}
        <span class="who">{person.name}</span>
        <button type="button" onClick={() => void signOut().then(() => setPerson(null))}>
          Sign out
        </button>
      </nav>
      {path.startsWith('#/runs') ? <Runs /> : <Page path={path} person={person} />}
    </>
  );
}

function SignIn({ initialError, onSignIn }: { initialError: Error | undefined; onSignIn: (person: Person) => void }) {
  const [error, setError] = useState(initialError);
  const [token, setToken] = useState('');
  return (
    <main class="sign-in">
      <h1>heed</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          signIn(token.trim()).then(onSignIn, setError);
        }}
      >
        <label>
          Token
          <input
            type="password"
            autocomplete="current-password"
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="primary">
          Sign in
        </button>
      </form>
      {error && <ErrorNote error={error} />}
    </main>
  );
}

render(<Studio />, document.getElementById('app')!);
