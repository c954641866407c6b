/** Talking to a model: of two answers one is chosen, or a better one written, and the conversation goes on from it. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { Answering } from '../label/answering.tsx';
import {
  ApiError,
  api,
  type Person,
  type ProjectView,
  pathOf,
  type Summary,
  streamed,
  type Vote,
} from '../page/api.ts';
import { Failure } from '../page/failure.tsx';
import { Once, useLoaded } from '../page/load.tsx';
import { Options, Prompt } from '../page/shown.tsx';

type Message = { role: 'user' | 'assistant'; content: string };

type Line = { pieces?: { index: number; text: string }[]; turn?: string; error?: { message: string; hint?: string } };

const KEPT = 'heed chat project';
/** What a reload of the page goes on from. */
interface Talk {
  messages: readonly Message[];
  /** What is being answered, or waits for a choice. */
  answers?: readonly string[];
  turn?: string;
  kept: number;
}
const talkOf = (person: Person, project: string) => `heed chat ${person.id} ${project}`;

/** Made where there is none to put answers into. */
const OWN = 'chat';

export function Chat({ person }: { person: Person }) {
  const about = useLoaded<{ model: string | null }>('/chat');
  const projects = useLoaded<Summary[]>('/projects');
  return (
    <main class="label chat">
      <h1>Talk to a model</h1>
      <Once of={about}>
        {({ model }) =>
          model === null ? (
            <p>
              There is none. Start the studio with one: <code>heed studio --model FOLDER</code>
            </p>
          ) : (
            <Once of={projects}>
              {(all) => <Place model={model} person={person} pairs={all.filter(({ kind }) => kind === 'pair')} />}
            </Once>
          )
        }
      </Once>
    </main>
  );
}

/** Chooses where what is said goes. */
function Place({ model, person, pairs }: { model: string; person: Person; pairs: readonly Summary[] }) {
  const names = pairs.map(({ name }) => name);
  if (person.role === 'owner' && !names.includes(OWN)) names.push(OWN);
  const kept = localStorage.getItem(KEPT);
  const [name, setName] = useState(kept !== null && names.includes(kept) ? kept : names.at(-1));
  const [project, setProject] = useState<ProjectView>();
  const [failed, setFailed] = useState<Error>();
  useEffect(() => {
    if (name !== undefined && sessionStorage.getItem(talkOf(person, name)) !== null) begin().catch(setFailed);
  }, []);
  if (name === undefined) return <p>There is no project that compares pairs. Ask an owner to make one.</p>;
  if (project) return <Conversation model={model} project={project} keptAs={talkOf(person, project.name)} />;
  async function begin() {
    if (name === undefined) return;
    if (!pairs.some((one) => one.name === name)) {
      await api('/projects', { body: { name, settings: { kind: 'pair', better: true, goldShare: 0 } } });
    }
    localStorage.setItem(KEPT, name);
    setProject(await api<ProjectView>(pathOf(name)));
  }
  return (
    <form
      class="manage"
      onSubmit={(event) => {
        event.preventDefault();
        begin().catch(setFailed);
      }}
    >
      <p>
        <code>{model}</code> answers each message twice. Which answer is better, and what you write yourself, is kept.
      </p>
      <label>
        Keep it in
        <select value={name} onChange={(event) => setName(event.currentTarget.value)}>
          {names.map((one) => (
            <option value={one}>{one}</option>
          ))}
        </select>
      </label>
      <button type="submit">Begin</button>
      {failed && <Failure error={failed} />}
    </form>
  );
}

function Conversation({ model, project, keptAs }: { model: string; project: ProjectView; keptAs: string }) {
  const [begun] = useState<Talk>(() => JSON.parse(sessionStorage.getItem(keptAs) ?? '{"messages":[],"kept":0}'));
  const [messages, setMessages] = useState(begun.messages);
  const [answers, setAnswers] = useState(begun.answers);
  const [turn, setTurn] = useState(begun.turn);
  const [kept, setKept] = useState(begun.kept);
  const [failed, setFailed] = useState<Error>();
  const since = useRef(0);
  const stop = useRef<AbortController>(undefined);
  const writing = useRef<HTMLTextAreaElement>(null);

  const draw = async (asked: readonly Message[]) => {
    setFailed(undefined);
    setTurn(undefined);
    setAnswers(['', '']);
    stop.current?.abort();
    stop.current = new AbortController();
    const { signal } = stop.current;
    try {
      const so: [string, string] = ['', ''];
      let finished: string | undefined;
      for await (const { pieces = [], turn, error } of streamed<Line>('/chat', { messages: asked }, signal)) {
        if (error) throw new ApiError(500, error.message, error.hint);
        for (const { index, text } of pieces) so[index] += text;
        if (pieces.length > 0) setAnswers([...so]);
        finished = turn ?? finished;
      }
      if (finished === undefined) throw new ApiError(0, 'The answers broke off.', 'Let the model answer once more.');
      setTurn(finished);
      since.current = performance.now();
    } catch (error) {
      if (!signal.aborted) setFailed(error as Error);
    }
  };
  useEffect(() => {
    // answers that had not come to their end are drawn anew
    if (messages.at(-1)?.role === 'user' && turn === undefined) void draw(messages);
    return () => stop.current?.abort();
  }, []);
  useEffect(() => {
    const whole: Talk = { messages, kept, ...(turn !== undefined && { answers, turn }) };
    if (messages.length > 0) sessionStorage.setItem(keptAs, JSON.stringify(whole));
    else sessionStorage.removeItem(keptAs);
  }, [messages, kept, turn]);
  const ask = () => {
    const content = writing.current!.value.trim();
    if (content === '') return;
    const asked = [...messages, { role: 'user' as const, content }];
    setMessages(asked);
    writing.current!.blur();
    void draw(asked);
  };
  const say = (vote: Vote) => {
    if (vote.kind !== 'pair') return;
    const body = {
      id: crypto.randomUUID(),
      turn,
      vote,
      shown: [0, 1],
      duration: Math.round(performance.now() - since.current),
    };
    const content = vote.better ?? answers![vote.choice === 'second' ? 1 : 0];
    setFailed(undefined);
    api(`${pathOf(project.name)}/chat`, { body }).then(() => {
      setKept((n) => n + 1);
      setMessages([...messages, { role: 'assistant', content: content || '…' }]);
      setAnswers(undefined);
      setTurn(undefined);
    }, setFailed);
  };
  const content = { options: (answers ?? []).map((text) => ({ kind: 'text' as const, text })) };
  return (
    <>
      <p class="quiet" role="status">
        With <code>{model}</code>, into {project.name}: {kept} kept
      </p>
      {messages.length > 0 && <Prompt prompt={[...messages]} />}
      {answers && <Options content={content} shown={[0, 1]} />}
      {failed && <Failure error={failed} retry={turn ? undefined : () => void draw(messages)} />}
      {answers && turn && (
        <>
          <Answering
            key={turn}
            settings={{ ...project.settings, better: true }}
            content={content}
            shown={[0, 1]}
            say={say}
            mustAnswer
          />
          <p>
            <button type="button" onClick={() => void draw(messages)}>
              Two others
            </button>
          </p>
        </>
      )}
      {answers && !turn && !failed && <p class="quiet">The model is answering…</p>}
      {!answers && (
        <form
          class="ask"
          onSubmit={(event) => {
            event.preventDefault();
            ask();
          }}
        >
          <label class="why">
            {messages.length === 0 ? 'Your first message' : 'Go on'}
            <textarea
              ref={writing}
              rows={3}
              onKeyDown={(event) => {
                if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
                event.preventDefault();
                ask();
              }}
            />
          </label>
          <button type="submit" class="send">
            Send <kbd>enter</kbd>
          </button>{' '}
          {messages.length > 0 && (
            <button type="button" onClick={() => setMessages([])}>
              Begin anew
            </button>
          )}
        </form>
      )}
    </>
  );
}
