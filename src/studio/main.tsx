/** The studio's page: signing in, and the view that the address names. */
import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { countDrafts } from './label/drafts.ts';
import { dropWaiting, sendWaiting } from './label/outbox.ts';
import { api, currentPerson, json, type Person, signIn, signInAtProvider, signOut } from './page/api.ts';
import { ErrorNote } from './page/error-note.tsx';
import { useResource } from './page/load.tsx';
import { Page, projectIn } from './pages.tsx';
import { Runs } from './runs/runs.tsx';
import './style.css';

/** A link: the token, and the page it opens. */
const LINK = /^#token=([\w-]+)(\/.*)?$/;

/** Signs in with the token of a link, which is removed from the address at once. */
async function enter(): Promise<Person | undefined> {
  const [, token, page = '/'] = LINK.exec(location.hash) ?? [];
  if (token !== undefined) history.replaceState(null, '', `#${page}`);
  // asked first: a browser in which somebody is signed in has to send their csrf value
  const person = await currentPerson();
  if (token === undefined) return person;
  try {
    return await signIn(token);
  } catch (error) {
    // a link works once, but the one who used it may still be signed in
    if (person) return person;
    throw error;
  }
}

/** Started before the first render, because the address may change by then. */
const entering = enter();

function Studio() {
  const [person, setPerson] = useState<Person | null>();
  const [error, setError] = useState<Error>();
  const [trouble, setTrouble] = useState<Error>();
  const [path, setPath] = useState(location.hash);
  useEffect(() => {
    entering.then(
      (signedIn) => setPerson(signedIn ?? null),
      (failure) => {
        setError(failure);
        setPerson(null);
      },
    );
    const moved = () => {
      setPath(location.hash);
      // the keys belong to the page that was opened, no longer to the link that opened it
      const focused = document.activeElement;
      if (focused instanceof HTMLElement && focused.closest('nav.studio')) focused.blur();
    };
    addEventListener('hashchange', moved);
    moved();
    return () => removeEventListener('hashchange', moved);
  }, []);
  if (person === undefined) return <p class="quiet">Loading…</p>;
  if (person === null) return <SignIn initialError={error} onSignIn={setPerson} />;
  const isLead = person.role !== 'annotator';
  // who judges has the whole width
  const isWork = /^#\/(label|teach)\//.test(path);
  return (
    <div class={isLead && !isWork ? 'shell side' : 'shell'}>
      <nav class="studio" aria-label="Studio">
        <a class="home" href="#/">
          <span class="mark" aria-hidden="true">
            <i />
            <i />
          </span>
          heed
        </a>
        {isLead && <PageLink to="#/" text="Projects" path={path || '#/'} />}
        {isLead && !isWork && <ProjectLinks path={path} person={person} />}
        {isLead && <PageLink to="#/runs" text="Runs" path={path} />}
        <ChatLink path={path} />
        {isLead && <PageLink to="#/people" text="People" path={path} />}
        <a class="who" href="#/account">
          {person.name}
        </a>
        <button type="button" class="plain" onClick={() => leave(person).catch(setTrouble)}>
          Sign out
        </button>
      </nav>
      {trouble && <ErrorNote error={trouble} />}
      {path.startsWith('#/runs') && isLead ? <Runs /> : <Page path={path} person={person} />}
    </div>
  );
}

/** Signs out once all judgments are sent, or the person says that those left may be deleted. The keys they chose stay. */
async function leave(person: Person): Promise<void> {
  const { left, failure } = await sendWaiting(person);
  const drafts = countDrafts(person);
  const these = left === 1 ? '1 judgment is' : `${left} judgments are`;
  const why = failure?.message ?? 'The studio takes too long to respond.';
  const lost = [
    ...(left > 0 ? [`${these} not sent: ${why}`] : []),
    ...(drafts > 0 ? [`You have written about ${drafts === 1 ? '1 item' : `${drafts} items`} and not sent it.`] : []),
  ].join(' ');
  const question = `${lost} Delete what is not sent, and sign out? “Cancel” keeps you signed in, and the page tries again.`;
  if (lost !== '' && !confirm(question)) return;
  const url = await signOut();
  dropWaiting(person);
  // loaded anew, the page has nothing in memory, and sends nothing in the name of who signs in next
  location.replace(url ?? '/');
}

/** A link to a page, marked if the page is open. */
function PageLink({ to, text, path, inner = false }: { to: string; text: string; path: string; inner?: boolean }) {
  const isOpen = path === to || (to !== '#/' && path.startsWith(`${to}/`));
  return (
    <a class={inner ? 'inner' : undefined} href={to} aria-current={isOpen ? 'page' : undefined}>
      {text}
    </a>
  );
}

/** The pages of the project that is open. */
function ProjectLinks({ path, person }: { path: string; person: Person }) {
  const encoded = projectIn(path);
  if (encoded === undefined) return null;
  const parts = [
    ['project', decodeURIComponent(encoded), false],
    ['items', 'Items', true],
    ['quality', 'Agreement', true],
    ['decide', 'Adjudicate', true],
    ['models', 'Models', true],
    ...(person.role === 'owner' ? [['settings', 'Settings', true] as const] : []),
  ] as const;
  return (
    <>
      {parts.map(([part, text, inner]) => (
        <PageLink key={part} to={`#/${part}/${encoded}`} text={text} path={path} inner={inner} />
      ))}
    </>
  );
}

/** There is nobody to talk to without a model. */
function ChatLink({ path }: { path: string }) {
  const { value } = useResource(() => json(api.chat.$get()));
  return value?.model ? <PageLink to="#/chat" text="Chat" path={path} /> : null;
}

function SignIn({ initialError, onSignIn }: { initialError: Error | undefined; onSignIn: (person: Person) => void }) {
  const [error, setError] = useState(initialError);
  const [token, setToken] = useState('');
  const { value: ways } = useResource(() => json(api.session.ways.$get()));
  return (
    <main class="sign-in">
      <span class="mark" aria-hidden="true">
        <i />
        <i />
      </span>
      <h1>heed</h1>
      <p class="quiet">Judge what models write and do, and let them learn from it.</p>
      {ways?.provider && (
        <button
          type="button"
          class="primary"
          onClick={() => void signInAtProvider(/^#(\/.*)$/.exec(location.hash)?.[1]).catch(setError)}
        >
          Sign in with {ways.provider}
        </button>
      )}
      {ways?.token !== false && (
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
          <button type="submit" class={ways?.provider ? undefined : 'primary'}>
            Sign in
          </button>
        </form>
      )}
      {error && <ErrorNote error={error} />}
    </main>
  );
}

render(<Studio />, document.getElementById('app')!);
