/** The labelling page: two answers or clips, one decision at a time. */
import { useEffect, useRef, useState } from 'preact/hooks';
import {
  type Answer,
  api,
  type Content,
  type Option,
  type PairChoice,
  type ProjectView,
  pathOf,
  type Vote,
} from './api.ts';
import { Clips } from './clips.tsx';
import { Failure } from './failure.tsx';
import { type Action, bindings, useKeys } from './keys.ts';
import { createQueue, type Queue } from './queue.ts';

export function Label({ project: name }: { project: string }) {
  const [project, setProject] = useState<ProjectView>();
  const [failed, setFailed] = useState<Error>();
  useEffect(() => {
    api<ProjectView>(pathOf(name)).then(setProject, setFailed);
  }, [name]);
  if (failed) return <Failure error={failed} />;
  return project ? <Labelling project={project} /> : <p class="quiet">Loading…</p>;
}

function Labelling({ project }: { project: ProjectView }) {
  const [, redraw] = useState(0);
  const queue = useRef<Queue | undefined>(undefined);
  queue.current ??= createQueue(project.name, () => redraw((n) => n + 1));
  const [reason, setReason] = useState('');
  const [told, setTold] = useState<{ right: boolean; gold: Answer }>();
  const [mine, setMine] = useState(project.progress.mine);
  const why = useRef<HTMLTextAreaElement>(null);
  const guidelines = useRef<HTMLDetailsElement>(null);
  const { current, waiting, empty, error } = queue.current.state();
  const { settings } = project;
  const left = current?.shown[0] === 0 ? 'first' : 'second';

  // what is drawn may lag behind who types fast
  const reasonNow = () => (why.current?.value ?? '').trim();
  const say = (vote: Vote) => {
    const practice = current!.item.practice;
    const written = reasonNow();
    const sent = queue.current!.answer(written === '' ? vote : { ...vote, reason: written });
    setReason('');
    setMine((n) => n + 1);
    setTold(undefined);
    if (practice)
      void sent.then(
        (recorded) => recorded?.gold && setTold({ gold: recorded.gold, right: isSame(vote, recorded.gold) }),
      );
  };
  const choose = (choice: PairChoice) => {
    if (settings.reason === 'required' && reasonNow() === '') why.current?.focus();
    else say({ kind: 'pair', choice });
  };
  const act = (action: Action) => {
    if (action === 'guidelines') guidelines.current!.open = !guidelines.current!.open;
    else if (action === 'undo') {
      if (queue.current!.canUndo()) {
        queue.current!.undo();
        setMine((n) => n - 1);
      }
    } else if (!current) return;
    else if (action === 'reason') why.current?.focus();
    else if (action === 'skip') say({ kind: 'skip' });
    else if (settings.kind !== 'pair') return;
    else if (action === 'first') choose(left);
    else if (action === 'second') choose(left === 'first' ? 'second' : 'first');
    else if (offered(settings)[action]) choose(action);
  };
  useKeys(act);

  return (
    <main class="label">
      <header class="progress">
        <h1>{project.name}</h1>
        <span role="status">
          {mine} answered by you{waiting > 0 && `, ${waiting} on the way`}
        </span>
        <button type="button" onClick={() => act('undo')} disabled={!queue.current.canUndo()}>
          Take back <kbd>{bindings().undo}</kbd>
        </button>
      </header>
      <details ref={guidelines} class="guidelines">
        <summary>
          Guidelines <kbd>{bindings().guidelines}</kbd>
        </summary>
        <p class="text">{project.guidelines.text || 'None were written.'}</p>
      </details>
      {error && <Failure error={error} retry={queue.current.retry} />}
      {told && (
        <p class={`told ${told.right ? 'right' : 'wrong'}`} role="status">
          {told.right ? 'Right.' : 'Others would have said otherwise: '}
          {!told.right && inWords(told.gold)}
        </p>
      )}
      {!current && !error && <p class="quiet">{empty ? 'There is nothing more to answer. Thank you.' : 'Loading…'}</p>}
      {current && (
        <>
          {current.item.practice && <p class="practice">Practice: you are told afterwards.</p>}
          <Prompt prompt={current.item.content.prompt} />
          <Options key={current.item.id} content={current.item.content} shown={current.shown} />
          <Choices settings={settings} act={act} />
          {settings.reason !== 'none' && (
            <label class="why">
              Why{settings.reason === 'required' ? '' : ', if you like'} <kbd>{bindings().reason}</kbd>
              <textarea
                ref={why}
                rows={2}
                value={reason}
                onInput={(event) => setReason(event.currentTarget.value)}
                onKeyDown={(event) => event.key === 'Escape' && event.currentTarget.blur()}
              />
            </label>
          )}
        </>
      )}
    </main>
  );
}

const offered = ({ tie, bothBad, unknown }: ProjectView['settings']): Record<string, boolean> => ({
  tie,
  'both-bad': bothBad,
  unknown,
});

const isSame = (vote: Vote, gold: Answer) =>
  vote.kind === 'pair' && gold.kind === 'pair' && vote.choice === gold.choice;

const inWords = (gold: Answer) =>
  gold.kind === 'pair'
    ? {
        first: 'one of them is better',
        second: 'one of them is better',
        tie: 'equally good',
        'both-bad': 'both bad',
        unknown: 'cannot tell',
      }[gold.choice]
    : '';

function Prompt({ prompt }: Pick<Content, 'prompt'>) {
  if (prompt === undefined) return null;
  const turns = typeof prompt === 'string' ? [{ role: 'prompt', content: prompt }] : prompt;
  return (
    <section class="prompt" aria-label="Prompt">
      {turns.map(({ role, content }) => (
        <div class={`turn from-${role}`}>
          <span class="role">{role}</span>
          <p class="text">{content}</p>
        </div>
      ))}
    </section>
  );
}

function Options({ content: { options }, shown }: { content: Content; shown: number[] }) {
  const placed = shown.map((i) => options[i]);
  const clips = placed.filter((option): option is Extract<Option, { kind: 'clip' }> => option.kind === 'clip');
  if (clips.length === placed.length && clips.length > 0) return <Clips clips={clips} />;
  return (
    <div class="options">
      {placed.map((option, i) => (
        <section class="option" aria-label={i === 0 ? 'Left' : 'Right'}>
          {option.kind === 'text' && <p class="text">{option.text}</p>}
        </section>
      ))}
    </div>
  );
}

function Choices({ settings, act }: { settings: ProjectView['settings']; act: (action: Action) => void }) {
  const keys = bindings();
  const names: [Action, string][] = [
    ['first', 'Left is better'],
    ...(settings.tie ? [['tie', 'Equally good'] as [Action, string]] : []),
    ...(settings.bothBad ? [['both-bad', 'Both bad'] as [Action, string]] : []),
    ...(settings.unknown ? [['unknown', 'Cannot tell'] as [Action, string]] : []),
    ['skip', 'Skip'],
    ['second', 'Right is better'],
  ];
  return (
    <fieldset class="choices" aria-label="Your answer">
      {names.map(([action, text]) => (
        <button type="button" class={action} onClick={() => act(action)}>
          {text} <kbd>{keys[action]}</kbd>
        </button>
      ))}
    </fieldset>
  );
}
