/** People: adding them, issuing tokens, revoking access. A token is shown once. */
import { useState } from 'preact/hooks';
import { api, json, type Person } from '../page/api.ts';
import { Loaded, useAction, useResource } from '../page/load.tsx';

interface Issued {
  person: Person;
  token: string;
}

const ROLES: Record<Person['role'], string> = {
  owner: 'Owner: manages projects and people',
  reviewer: 'Reviewer: reads all judgments and adjudicates',
  annotator: 'Annotator: judges items',
};

/** The page of everybody in the store. */
export function People({ person: me }: { person: Person }) {
  const people = useResource(() => json(api.people.$get()));
  const [issued, setIssued] = useState<Issued>();
  const { run, note } = useAction();
  const isOwner = me.role === 'owner';
  const after = (work: () => Promise<Issued | undefined>) =>
    run(async () => {
      setIssued(await work());
      people.reload();
      return undefined;
    });
  const routes = api.people[':name'];
  const of = (name: string) => ({ param: { name: encodeURIComponent(name) } });
  return (
    <main class="manage">
      <header class="progress">
        <h1>People</h1>
        {isOwner && (
          <a class="tools" href="#/activity">
            Activity
          </a>
        )}
      </header>
      {issued && <Token {...issued} />}
      {note}
      <Loaded of={people}>
        {(all) => (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
          <section class="wide people" aria-label="People" tabIndex={0}>
            <table>
              <tbody>
                {all.map(({ name, role, active }) => (
                  <tr>
                    <th scope="row">{isOwner ? <a href={`#/person/${encodeURIComponent(name)}`}>{name}</a> : name}</th>
                    <td>{active ? role : <span class="quiet">{role}, access revoked</span>}</td>
                    {isOwner && (
                      <td>
                        <button
                          type="button"
                          aria-label={`New token for ${name}`}
                          onClick={() => after(() => json(routes.token.$post(of(name))))}
                        >
                          New token
                        </button>{' '}
                        {active && name !== me.name && (
                          <button
                            type="button"
                            aria-label={`Revoke access of ${name}`}
                            onClick={() =>
                              confirm(`Revoke the access of ${name}? Their judgments are kept.`) &&
                              after(() => json(routes.$delete(of(name))).then(() => undefined))
                            }
                          >
                            Revoke access
                          </button>
                        )}
                      </td>
                    )}
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
        )}
      </Loaded>
      {isOwner && <AddPerson add={(person) => after(() => json(api.people.$post({ json: person })))} />}
    </main>
  );
}

function AddPerson({ add }: { add(person: { name: string; role: Person['role']; projects: string[] }): void }) {
  const projects = useResource(() => json(api.projects.$get({ query: {} })));
  const [left, setLeft] = useState<readonly string[]>([]);
  const [name, setName] = useState('');
  const [role, setRole] = useState<Person['role']>('annotator');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        const seen = (projects.value ?? []).map((one) => one.name).filter((one) => !left.includes(one));
        add({ name: name.trim(), role, projects: seen });
        setName('');
      }}
    >
      <h2>Add a person</h2>
      <div class="row">
        <label>
          Name
          <input value={name} required maxLength={100} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <label>
          Role
          <select value={role} onChange={(event) => setRole(event.currentTarget.value as Person['role'])}>
            {Object.entries(ROLES).map(([one, text]) => (
              <option value={one}>{text}</option>
            ))}
          </select>
        </label>
        <button type="submit" class="primary">
          Add
        </button>
      </div>
      {role === 'annotator' && projects.value && projects.value.length > 0 && (
        <fieldset class="ticks">
          <legend>Projects they see</legend>
          {projects.value.map((project) => (
            <label class="tick">
              <input
                type="checkbox"
                checked={!left.includes(project.name)}
                onChange={({ currentTarget: { checked } }) =>
                  setLeft(checked ? left.filter((one) => one !== project.name) : [...left, project.name])
                }
              />
              {project.name}
            </label>
          ))}
        </fieldset>
      )}
    </form>
  );
}

function Token({ person, token }: Issued) {
  const link = `${location.origin}/#token=${token}`;
  return (
    <section class="prompt" aria-label="New token">
      <p>
        This link signs {person.name} in. It is shown only once, and anyone who has it can act as {person.name}.
      </p>
      <p class="text">
        <code>{link}</code>
      </p>
      <button type="button" onClick={() => void navigator.clipboard.writeText(link)}>
        Copy
      </button>
    </section>
  );
}
