import { useEffect, useState } from 'preact/hooks';
import { api, type Summary } from './api.ts';
import { Failure } from './failure.tsx';

/** What there is to answer. */
export function Projects() {
  const [projects, setProjects] = useState<Summary[]>();
  const [failed, setFailed] = useState<Error>();
  useEffect(() => {
    api<Summary[]>('/projects').then(setProjects, setFailed);
  }, []);
  if (failed) return <Failure error={failed} />;
  if (!projects) return <p class="quiet">Loading…</p>;
  return (
    <main>
      <h1>Projects</h1>
      {projects.length === 0 && (
        <p class="quiet">
          There is none yet. Make one of a dataset: <code>heed feedback import pairs.jsonl --project NAME</code>
        </p>
      )}
      <ul class="projects">
        {projects.map(({ name, kind, items, answered, labels, people }) => (
          <li>
            <a href={`#/label/${encodeURIComponent(name)}`}>
              <h2>{name}</h2>
              <progress
                value={answered}
                max={Math.max(items, 1)}
                aria-label={`${answered} of ${items} items are answered`}
              />
              <p class="quiet">
                {kind}, {answered} of {items} items answered, {labels} answers by {people}{' '}
                {people === 1 ? 'person' : 'people'}
              </p>
            </a>
          </li>
        ))}
      </ul>
    </main>
  );
}
