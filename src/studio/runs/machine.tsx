/** How busy the machine of the studio is. */
import { useEffect, useState } from 'preact/hooks';
import { api } from '../page/api.ts';

interface Load {
  cores: number;
  /** Processes that want a core, over the last minute. */
  load: number;
  /** Bytes. */
  memory: { total: number; free: number; studio: number };
}

const LOOK = 5000;
const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

export function Machine() {
  const [now, setNow] = useState<Load>();
  useEffect(() => {
    const look = () => {
      if (!document.hidden) api<Load>('/machine').then(setNow, () => setNow(undefined));
    };
    look();
    const again = setInterval(look, LOOK);
    return () => clearInterval(again);
  }, []);
  if (!now) return null;
  const { cores, load, memory } = now;
  const used = memory.total - memory.free;
  return (
    <dl class="machine" aria-label="The machine">
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
