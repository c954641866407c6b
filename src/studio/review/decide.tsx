/** Where people disagree, a reviewer decides: the answers of all beside what they were asked. */
import { useState } from 'preact/hooks';
import type { Disagreement } from '../../feedback/items/adjudication.ts';
import { Answering } from '../label/answering.tsx';
import { inWords } from '../label/words.ts';
import { api, type ProjectView, pathOf, type Vote } from '../page/api.ts';
import { Failure } from '../page/failure.tsx';
import { Once, useLoaded } from '../page/load.tsx';
import { Options, Prompt } from '../page/shown.tsx';

export function Decide({ project: name }: { project: string }) {
  const project = useLoaded<ProjectView>(pathOf(name));
  const open = useLoaded<Disagreement[]>(`${pathOf(name)}/disagreements`);
  return (
    <main class="label">
      <h1>Decide: {name}</h1>
      <Once of={project}>{(view) => <Once of={open}>{(all) => <Deciding project={view} all={all} />}</Once>}</Once>
    </main>
  );
}

function Deciding({ project, all }: { project: ProjectView; all: readonly Disagreement[] }) {
  const [at, setAt] = useState(0);
  const [failed, setFailed] = useState<Error>();
  const current = all[at];
  if (!current) return <p class="quiet">{all.length === 0 ? 'Nobody disagrees.' : 'All are decided. Thank you.'}</p>;
  const { item, answers, confidence } = current;
  const shown = item.content.options.map((_, i) => i);
  const say = (vote: Vote) => {
    const body = { id: crypto.randomUUID(), item: item.id, vote, shown };
    setFailed(undefined);
    api(`${pathOf(project.name)}/adjudicate`, { body }).then(() => setAt(at + 1), setFailed);
  };
  return (
    <>
      <p role="status">
        {all.length - at} to decide.{' '}
        <span class="quiet">The likeliest answer to this one is {Math.round(100 * confidence)} % sure.</span>
      </p>
      <Prompt prompt={item.content.prompt} />
      <Options key={item.id} content={item.content} shown={shown} />
      <ul class="said" aria-label="What people said">
        {answers.map(({ name, answer }) => (
          <li>
            <strong>{name}</strong> {inWords(answer, shown)}
            {'reason' in answer && answer.reason && <span class="quiet"> “{answer.reason}”</span>}
          </li>
        ))}
      </ul>
      {failed && <Failure error={failed} />}
      <Answering
        key={`answer ${item.id}`}
        settings={project.settings}
        content={item.content}
        shown={shown}
        say={say}
        mustAnswer
      />
      <button type="button" onClick={() => setAt(at + 1)}>
        Leave it open
      </button>
    </>
  );
}
