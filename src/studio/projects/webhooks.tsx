/** Where the events of a project are sent, and how that went. */
import { useState } from 'preact/hooks';
import { inProject, json, projectApi } from '../page/api.ts';
import { Field } from '../page/fields.tsx';
import { Loaded, useChanges, useResource } from '../page/load.tsx';
import { ShownOnce, WideTable } from '../page/parts.tsx';

const routes = projectApi.webhooks;

/** The section of a project's settings about webhooks. */
export function Webhooks({ name }: { name: string }) {
  const hooks = useResource(() => json(routes.$get(inProject(name))), name);
  const { change, note } = useChanges(hooks);
  const [url, setUrl] = useState('');
  const [secret, setSecret] = useState<string>();
  const at = (webhook: string) => ({ param: { ...inProject(name).param, webhook } });
  const add = () =>
    change(async () => {
      setSecret((await json(routes.$post({ ...inProject(name), json: { url: url.trim() } }))).secret);
      setUrl('');
    });
  return (
    <section aria-labelledby="webhooks-title">
      <h2 id="webhooks-title">Webhooks</h2>
      <p class="quiet">
        Each judgment, and each change of items, settings and guidelines, is sent to an address of yours as it happens.
      </p>
      {secret !== undefined && (
        <ShownOnce label="Secret of the new webhook" text={secret}>
          This secret is shown only once. Check the signature of each request with it.
        </ShownOnce>
      )}
      <Loaded of={hooks}>
        {(all) => (
          <>
            {all.map(({ id, url, failures, due, deliveries }) => (
              <details key={id} class="webhook">
                <summary>
                  {url}{' '}
                  <span class={failures > 0 ? 'missing' : 'quiet'}>
                    {failures > 0
                      ? `failed ${failures} times in a row, tried again at ${new Date(due).toLocaleTimeString()}`
                      : deliveries.length > 0 && `last sent ${new Date(deliveries[0].created).toLocaleString()}`}
                  </span>
                </summary>
                <div class="row pages">
                  <button type="button" onClick={() => change(() => json(routes[':webhook'].test.$post(at(id))))}>
                    Send a test
                  </button>
                  <button
                    type="button"
                    class="danger"
                    onClick={() => change(() => json(routes[':webhook'].$delete(at(id))))}
                  >
                    Remove
                  </button>
                </div>
                {deliveries.length > 0 && (
                  <WideTable
                    label={`Deliveries to ${url}`}
                    columns={['Time', 'Event', 'Response']}
                    rows={deliveries.map(({ created, event, status, error }) => [
                      ...[new Date(created).toLocaleString(), event],
                      error ? <span class="missing">{error}</span> : status,
                    ])}
                  />
                )}
              </details>
            ))}
          </>
        )}
      </Loaded>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          add();
        }}
      >
        <Field label="Address" value={url} required placeholder="https://example.org/heed" set={setUrl} />
        <button type="submit">Add webhook</button>
      </form>
      {note}
    </section>
  );
}
