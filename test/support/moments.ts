/**
 * Every moment at which a process can be killed, as files see it: between any two calls that change them, and in the middle
 * of a write or of the removal of a folder. What a kill leaves is what stands there at that moment, wherever it falls.
 */
import fs from 'node:fs';
import { join } from 'node:path';

const changing = [
  ...(['openSync', 'writeSync', 'ftruncateSync', 'fsyncSync', 'closeSync'] as const),
  ...(['mkdirSync', 'renameSync', 'rmSync'] as const),
];

/** Runs `act`, and calls `look` at each of these moments, the first and the last included. */
export function everyMoment(act: () => void, look: () => void): void {
  const real = Object.fromEntries(changing.map((name) => [name, fs[name]])) as unknown as typeof fs;
  let looking = false;
  let over = false; // Node's own cpSync may have taken the functions of the meantime, and keeps them
  const pause = () => {
    if (looking) return;
    looking = true;
    look();
    looking = false;
  };
  const own: Partial<Record<(typeof changing)[number], (...args: never[]) => unknown>> = {
    writeSync(file: number, data: Uint8Array | string, from = 0, length = data.length) {
      const half = Math.floor(length / 2);
      if (typeof data === 'string') {
        const written = real.writeSync(file, data.slice(0, half));
        pause();
        return written + real.writeSync(file, data.slice(half));
      }
      const written = real.writeSync(file, data, from, half);
      pause();
      return written + real.writeSync(file, data, from + half, length - half);
    },
    rmSync(path: string, options?: fs.RmOptions) {
      if (options?.recursive && fs.existsSync(path)) {
        for (const name of fs.readdirSync(path)) {
          real.rmSync(join(path, name), options);
          pause();
        }
      }
      real.rmSync(path, options);
    },
  };
  try {
    for (const name of changing) {
      const call = (own[name] ?? real[name]) as (...args: unknown[]) => unknown;
      Object.assign(fs, {
        [name](...args: unknown[]) {
          if (looking || over) return (real[name] as typeof call)(...args);
          pause();
          return call(...args);
        },
      });
    }
    act();
  } finally {
    over = true;
    Object.assign(fs, Object.fromEntries(changing.map((name) => [name, real[name]])));
  }
  pause();
}
