/** Chatting with a model: the better of two responses, or one that the person writes, continues the conversation. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ChatLine } from '../../feedback/server/chat.ts';
import { InWordsOf } from '../label/in-its-language.tsx';
import { Judging } from '../label/judging.tsx';
import {
  api,
  CHAT_PROJECT,
  inProject,
  type JudgmentOrSkip,
  json,
  jsonLines,
  type Person,
  type ProjectDetails,
  type ProjectSummary,
  projectApi,
  RefusedCall,
} from '../page/api.ts';
import { ErrorNote } from '../page/error-note.tsx';
import { Select } from '../page/fields.tsx';
import { OptionsView, PromptView } from '../page/item.tsx';
import { Loaded, useResource } from '../page/load.tsx';
import { useWords } from '../words/words.ts';

type Message = { role: 'user' | 'assistant'; content: string };

/** The state of a conversation, from which a reload of the page continues. */
interface Talk {
  messages: readonly Message[];
  /** Two responses that wait for a choice. */
  answers?: readonly string[];
  turn?: string;
  /** Judgments that were saved. */
  kept: number;
}
const storageKeyOf = (person: Person, project: string) => `heed chat ${person.id} ${project}`;

/** Name of the project that is created if there is none for judgments. */
const DEFAULT_PROJECT = 'chat';

/** The page on which people chat with a model. */
export function ChatPage({ person }: { person: Person }) {
  const about = useResource(() => json(api.chat.$get()));
  const projects = useResource(() => json(api.projects.$get({ query: {} })));
  return (
    <main class="label chat">
      <h1>Talk to a model</h1>
      <Loaded of={about}>
        {({ model }) =>
          model === null ? (
            <p>
              No model is loaded. Start the studio with one: <code>heed studio --model FOLDER</code>
            </p>
          ) : (
            <Loaded of={projects}>
              {(all) => (
                <InWordsOf language="en">
                  <Start model={model} person={person} pairs={all.filter(({ kind }) => kind === 'pair')} />
                </InWordsOf>
              )}
            </Loaded>
          )
        }
      </Loaded>
    </main>
  );
}

/** Chooses the project that judgments are saved to. */
function Start({ model, person, pairs }: { model: string; person: Person; pairs: readonly ProjectSummary[] }) {
  const names = pairs.map(({ name }) => name);
  if (person.role === 'owner' && !names.includes(DEFAULT_PROJECT)) names.push(DEFAULT_PROJECT);
  const stored = localStorage.getItem(CHAT_PROJECT);
  const [name, setName] = useState(stored !== null && names.includes(stored) ? stored : names.at(-1));
  const [project, setProject] = useState<ProjectDetails>();
  const [error, setError] = useState<Error>();
  useEffect(() => {
    if (name !== undefined && sessionStorage.getItem(storageKeyOf(person, name)) !== null) begin().catch(setError);
  }, []);
  if (name === undefined) return <p>There is no project of kind pair. Ask an owner to create one.</p>;
  if (project) return <Conversation model={model} project={project} storageKey={storageKeyOf(person, project.name)} />;
  async function begin() {
    if (name === undefined) return;
    if (!pairs.some((one) => one.name === name)) {
      await json(api.projects.$post({ json: { name, settings: { kind: 'pair', better: true, goldShare: 0 } } }));
    }
    localStorage.setItem(CHAT_PROJECT, name);
    setProject(await json(projectApi.$get(inProject(name))));
  }
  return (
    <form
      class="manage"
      onSubmit={(event) => {
        event.preventDefault();
        begin().catch(setError);
      }}
    >
      <p>
        <code>{model}</code> responds to each message twice. Your choices, and better responses that you write, are
        saved to a project.
      </p>
      <Select label="Project" value={name} options={names} set={setName} />
      <button type="submit" class="primary">
        Start
      </button>
      {error && <ErrorNote error={error} />}
    </form>
  );
}

/** A conversation that is drawn, judged and kept in the browser. */
function useConversation({ name }: ProjectDetails, storageKey: string) {
  const [stored] = useState<Talk>(() => JSON.parse(sessionStorage.getItem(storageKey) ?? '{"messages":[],"kept":0}'));
  const [messages, setMessages] = useState(stored.messages);
  const [responses, setResponses] = useState(stored.answers);
  const [turn, setTurn] = useState(stored.turn);
  const [saved, setSaved] = useState(stored.kept);
  const [error, setError] = useState<Error>();
  const since = useRef(0);
  const stop = useRef<AbortController>(undefined);

  const draw = async (conversation = messages) => {
    setError(undefined);
    setTurn(undefined);
    setResponses(['', '']);
    stop.current?.abort();
    stop.current = new AbortController();
    const { signal } = stop.current;
    try {
      const texts: [string, string] = ['', ''];
      let id: string | undefined;
      const reply = await api.chat.$post({ json: { messages: [...conversation] } }, { init: { signal } });
      for await (const { pieces = [], turn, error } of jsonLines<ChatLine>(reply)) {
        if (error) throw new RefusedCall(500, error.message, error.hint);
        for (const { index, text } of pieces) texts[index] += text;
        if (pieces.length > 0) setResponses([...texts]);
        id = turn ?? id;
      }
      if (id === undefined) throw new RefusedCall(0, 'The responses broke off.', 'Let the model respond once more.');
      setTurn(id);
      since.current = performance.now();
    } catch (failure) {
      if (!signal.aborted) setError(failure as Error);
    }
  };
  useEffect(() => {
    // responses that were not finished are drawn again
    if (messages.at(-1)?.role === 'user' && turn === undefined) void draw();
    return () => stop.current?.abort();
  }, []);
  useEffect(() => {
    const talk: Talk = { messages, kept: saved, ...(turn !== undefined && { answers: responses, turn }) };
    if (messages.length > 0) sessionStorage.setItem(storageKey, JSON.stringify(talk));
    else sessionStorage.removeItem(storageKey);
  }, [messages, saved, turn]);
  const say = (content: string) => {
    const next = [...messages, { role: 'user' as const, content }];
    setMessages(next);
    void draw(next);
  };
  const choose = (judgment: JudgmentOrSkip) => {
    if (judgment.kind !== 'pair') return;
    const duration = Math.round(performance.now() - since.current);
    const body = { id: crypto.randomUUID(), turn: turn!, judgment, shown: [0, 1], duration };
    const content = judgment.better ?? responses![judgment.choice === 'second' ? 1 : 0];
    setError(undefined);
    json(projectApi.chat.$post({ ...inProject(name), json: body })).then(() => {
      setSaved((n) => n + 1);
      setMessages([...messages, { role: 'assistant', content: content || '…' }]);
      setResponses(undefined);
      setTurn(undefined);
    }, setError);
  };
  return { messages, responses, turn, saved, error, draw, say, choose, restart: () => setMessages([]) };
}

function Conversation({ model, project, storageKey }: { model: string; project: ProjectDetails; storageKey: string }) {
  const words = useWords();
  const { messages, responses, turn, saved, error, draw, say, choose, restart } = useConversation(project, storageKey);
  const content = { options: (responses ?? []).map((text) => ({ kind: 'text' as const, text })) };
  return (
    <>
      <p class="quiet" role="status">
        <code>{model}</code>, project {project.name}: {saved} {saved === 1 ? 'judgment' : 'judgments'} saved
      </p>
      {messages.length > 0 && <PromptView prompt={[...messages]} />}
      {responses && (
        <div class="question">
          <h2>{words.questions.pair}</h2>
          {!turn && !error && <span class="quiet">The model is responding…</span>}
        </div>
      )}
      {responses && <OptionsView content={content} shown={[0, 1]} />}
      {error && <ErrorNote error={error} retry={turn ? undefined : () => void draw()} />}
      {responses && turn && (
        <>
          <Judging
            key={turn}
            settings={{ ...project.settings, better: true }}
            content={content}
            shown={[0, 1]}
            onJudgment={choose}
            noSkip
          />
          <p>
            <button type="button" onClick={() => void draw()}>
              Draw two others
            </button>
          </p>
        </>
      )}
      {!responses && <MessageForm isFirst={messages.length === 0} say={say} restart={restart} />}
    </>
  );
}

/** Where a person writes to the model. */
function MessageForm({ isFirst, say, restart }: { isFirst: boolean; say(content: string): void; restart(): void }) {
  const writing = useRef<HTMLTextAreaElement>(null);
  const send = (event: Event) => {
    event.preventDefault();
    const content = writing.current!.value.trim();
    if (content !== '') say(content);
  };
  return (
    <form class="ask" onSubmit={send}>
      <label class="why">
        {isFirst ? 'Your first message' : 'Your message'}
        <textarea
          ref={writing}
          rows={3}
          onKeyDown={(event) => {
            if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) send(event);
          }}
        />
      </label>
      <button type="submit" class="primary">
        Send <kbd>enter</kbd>
      </button>{' '}
      {!isFirst && (
        <button type="button" onClick={restart}>
          New conversation
        </button>
      )}
    </form>
  );
}
