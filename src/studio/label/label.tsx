/** The labeling page: one decision at a time. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { type Answer, api, type ProjectView, pathOf, type Recorded, type Vote } from '../page/api.ts';
import { Failure } from '../page/failure.tsx';
import { Text } from '../page/markdown.tsx';
import { Options, Prompt } from '../page/shown.tsx';
import { Answering } from './answering.tsx';
import { type Action, bindings, useKeys } from './keys.ts';
import { KeysDialog } from './keys-dialog.tsx';
import { createQueue, type Queue } from './queue.ts';
import { inWords, isRight } from './words.ts';

const RAW = 'heed raw';

export function Label({ project: name }: { project: string }) {
  const [project, setProject] = useState<ProjectView>();
  const [failed, setFailed] = useState<Error>();
  useEffect(() => {
    api<ProjectView>(pathOf(name)).then(setProject, setFailed);
  }, [name]);
  if (failed) return <Failure error={failed} />;
  return project ? <Labeling project={project} /> : <p class="quiet">Loading…</p>;
}

/** What came back of the answer before this one. */
interface Told extends Pick<Recorded, 'others'> {
  vote: Vote;
  shown: number[];
  gold?: Answer;
}

function Labeling({ project }: { project: ProjectView }) {
  const [, redraw] = useState(0);
  const queue = useRef<Queue | undefined>(undefined);
  queue.current ??= createQueue(project.name, () => redraw((n) => n + 1));
  const [told, setTold] = useState<Told>();
  const [mine, setMine] = useState(project.progress.mine);
  const [raw, setRaw] = useState(localStorage.getItem(RAW) === 'yes');
  const [binding, setBinding] = useState(false);
  const guidelines = useRef<HTMLDetailsElement>(null);
  const { current, waiting, empty, error } = queue.current.state();

  const say = (vote: Vote) => {
    const { shown } = current!;
    const sent = queue.current!.answer(vote);
    setMine((n) => n + 1);
    setTold(undefined);
    void sent.then((recorded) => {
      if (recorded?.gold || recorded?.others) setTold({ ...recorded, vote, shown });
    });
  };
  const act = (action: Action | undefined): boolean => {
    if (action === 'guidelines') guidelines.current!.open = !guidelines.current!.open;
    else if (action === 'keys') setBinding(true);
    else if (action === 'raw') {
      localStorage.setItem(RAW, raw ? 'no' : 'yes');
      setRaw(!raw);
    } else if (action === 'undo') {
      if (queue.current!.canUndo()) {
        queue.current!.undo();
        setMine((n) => n - 1);
        setTold(undefined);
      }
    } else return false;
    return true;
  };
  useKeys(act);

  const { items, answered, budget, labels } = project.progress;
  const keys = bindings();
  return (
    <main class="label">
      <header class="progress">
        <h1>{project.name}</h1>
        <span role="status">
          {mine} answered by you{waiting > 0 && `, ${waiting} on the way`}
        </span>
        <span class="quiet">
          {budget === undefined ? `${answered} of ${items} items` : `${labels} of ${budget} answers`} done in all
        </span>
        <span class="tools">
          <button type="button" aria-pressed={raw} onClick={() => act('raw')}>
            Raw text <kbd>{keys.raw}</kbd>
          </button>
          <button type="button" onClick={() => act('keys')}>
            Keys <kbd>{keys.keys}</kbd>
          </button>
          <button type="button" onClick={() => act('undo')} disabled={!queue.current.canUndo()}>
            Take back <kbd>{keys.undo}</kbd>
          </button>
        </span>
      </header>
      {binding && <KeysDialog close={() => setBinding(false)} />}
      <details ref={guidelines} class="guidelines">
        <summary>
          Guidelines <kbd>{keys.guidelines}</kbd>
        </summary>
        <Text text={project.guidelines.text || 'None were written.'} />
      </details>
      {error && <Failure error={error} retry={queue.current.retry} />}
      {told && <Feedback {...told} />}
      {!current && !error && <p class="quiet">{empty ? 'There is nothing more to answer. Thank you.' : 'Loading…'}</p>}
      {current && (
        <>
          {current.item.practice && <p class="practice">Practice: you are told afterwards.</p>}
          <Prompt prompt={current.item.content.prompt} raw={raw} />
          <Options key={current.item.id} content={current.item.content} shown={current.shown} raw={raw} />
          <Answering
            key={`answer ${current.item.id}`}
            settings={project.settings}
            content={current.item.content}
            shown={current.shown}
            say={say}
          />
        </>
      )}
    </main>
  );
}

function Feedback({ vote, shown, gold, others = [] }: Told) {
  const right = gold && isRight(vote, gold);
  return (
    <div class="told" role="status">
      {gold && (
        <p class={right === undefined ? '' : right ? 'right' : 'wrong'}>
          {right
            ? 'Right.'
            : `${right === false ? 'It should have been' : 'One good answer'}: ${inWords(gold, shown)}${gold.reason ? ` (${gold.reason})` : ''}`}
        </p>
      )}
      {others.length > 0 && (
        <p class="quiet">
          Of the one before: {others.map((other) => `${other.person}: ${inWords(other.vote, shown)}`).join('; ')}
        </p>
      )}
    </div>
  );
}
