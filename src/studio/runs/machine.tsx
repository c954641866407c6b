/** Load of the studio's machine. */
import { useEffect, useState } from 'preact/hooks';
import { api, json } from '../page/api.ts';

const loadMachine = () => json(api.machine.$get());

const LOOK = 5000;
const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** The load of the machine, updated every few seconds. */
export function Machine() {
  const [machine, setMachine] = useState<Awaited<ReturnType<typeof loadMachine>>>();
  useEffect(() => {
    const look = () => {
      if (!document.hidden) loadMachine().then(setMachine, () => setMachine(undefined));
    };
    look();
    const again = setInterval(look, LOOK);
    return () => clearInterval(again);
  }, []);
  if (!machine) return null;
  const { cores, load, memory } = machine;
  const used = memory.total - memory.free;
  return (
    <dl class="machine" aria-label="Machine">
      <div>
        <dt>Load</dt>
        <dd>
          <meter min={0} max={cores} value={Math.min(load, cores)} aria-label="Load" /> {load.toFixed(1)} of {cores}{' '}
          {cores === 1 ? 'core' : 'cores'}
        </dd>
      </div>
      <div>
        <dt>Memory</dt>
        <dd>
          <meter min={0} max={memory.total} value={used} aria-label="Memory" /> {gib(used)} of {gib(memory.total)}
        </dd>
      </div>
      <div>
        <dt>Studio</dt>
        <dd>{gib(memory.studio)}</dd>
      </div>
    </dl>
  );
}
