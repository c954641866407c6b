/** Who there is: adding people, giving new tokens, shutting out. A token is shown once. */
import { useState } from 'preact/hooks';
import { api, type Person } from '../page/api.ts';
import { Once, useDone, useLoaded } from '../page/load.tsx';

type Listed = Person & { active: boolean; created: number };
type Given = { person: Person; token: string };

const ROLES: Record<Person['role'], string> = {
  owner: 'owner: makes projects and adds people',
  reviewer: 'reviewer: sees all answers and decides',
  annotator: 'annotator: answers',
};

export function People({ person: me }: { person: Person }) {
  const people = useLoaded<Listed[]>('/people');
  const [given, setGiven] = useState<Given>();
  const { run, told } = useDone();
  const isOwner = me.role === 'owner';
  const after = (work: () => Promise<Given | undefined>) =>
    run(async () => {
      setGiven(await work());
      people.again();
      return undefined;
    });
  const path = (name: string) => `/people/${encodeURIComponent(name)}`;
  return (
    <main class="manage">
      <h1>People</h1>
      {given && <Token {...given} />}
      {told}
      <Once of={people}>
        {(all) => (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keyboard
          <section class="wide" aria-label="People" tabIndex={0}>
            <table>
              <tbody>
                {all.map(({ name, role, active }) => (
                  <tr>
                    <th scope="row">{name}</th>
                    <td>{active ? role : <span class="quiet">{role}, shut out</span>}</td>
                    {isOwner && (
                      <td>
                        <button
                          type="button"
                          aria-label={`New token for ${name}`}
                          onClick={() => after(() => api<Given>(`${path(name)}/token`, { method: 'POST' }))}
                        >
                          New token
                        </button>{' '}
                        {active && name !== me.name && (
                          <button
                            type="button"
                            aria-label={`Shut out ${name}`}
                            onClick={() =>
                              confirm(`Shut ${name} out? What they answered stays.`) &&
                              after(() => api<undefined>(path(name), { method: 'DELETE' }).then(() => undefined))
                            }
                          >
                            Shut out
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
      </Once>
      {isOwner && <Add add={(name, role) => after(() => api<Given>('/people', { body: { name, role } }))} />}
    </main>
  );
}

function Add({ add }: { add(name: string, role: string): void }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState<string>('annotator');
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        add(name.trim(), role);
        setName('');
      }}
    >
      <h2>Add somebody</h2>
      <div class="row">
        <label>
          Name
          <input value={name} required maxLength={100} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        <label>
          Role
          <select value={role} onChange={(event) => setRole(event.currentTarget.value)}>
            {Object.entries(ROLES).map(([one, text]) => (
              <option value={one}>{text}</option>
            ))}
          </select>
        </label>
        <button type="submit">Add</button>
      </div>
    </form>
  );
}

function Token({ person, token }: Given) {
  const link = `${location.origin}/#token=${token}`;
  return (
    <section class="prompt" aria-label="New token">
      <p>
        This link signs {person.name} in. It is shown this once; whoever has it is {person.name} here.
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
