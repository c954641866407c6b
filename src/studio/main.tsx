/** The studio's page: who is there, and which part of it they look at. */
import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { type Person, signIn, signOut, whoIsThere } from './page/api.ts';
import { Failure } from './page/failure.tsx';
import { Page } from './pages.tsx';
import { Runs } from './runs/runs.tsx';
import './style.css';

/** A link: the token, and the page it opens. */
const LINK = /^#token=([\w-]+)(\/.*)?$/;

/** Signs in by the link that was opened; its token leaves the address at once. */
async function enter(): Promise<Person | undefined> {
  const [, token, page = '/'] = LINK.exec(location.hash) ?? [];
  if (token === undefined) return whoIsThere();
  history.replaceState(null, '', `#${page}`);
  try {
    return await signIn(token);
  } catch (error) {
    // a link that was used signs nobody in, but its first reader may be here still
    const person = await whoIsThere();
    if (person) return person;
    throw error;
  }
}

/** Begun before anything is shown: the address may be another by then. */
const entered = enter();

function Studio() {
  const [person, setPerson] = useState<Person | null>();
  const [failed, setFailed] = useState<Error>();
  const [path, setPath] = useState(location.hash);
  useEffect(() => {
    entered.then(
      (found) => setPerson(found ?? null),
      (error) => {
        setFailed(error);
        setPerson(null);
      },
    );
    const moved = () => setPath(location.hash);
    addEventListener('hashchange', moved);
    moved();
    return () => removeEventListener('hashchange', moved);
  }, []);
  if (person === undefined) return <p class="quiet">Loading…</p>;
  if (person === null) return <SignIn failed={failed} done={setPerson} />;
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

function SignIn({ failed, done }: { failed: Error | undefined; done: (person: Person) => void }) {
  const [error, setError] = useState(failed);
  const [token, setToken] = useState('');
  return (
    <main class="sign-in">
      <h1>heed</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          signIn(token.trim()).then(done, setError);
        }}
      >
        <label>
          Your token
          <input
            type="password"
            autocomplete="current-password"
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        <button type="submit">Sign in</button>
      </form>
      {error && <Failure error={error} />}
    </main>
  );
}

render(<Studio />, document.getElementById('app')!);
