/** Python with packages that some tests compare with. */
import { spawnSync } from 'node:child_process';

const HAS = 'import importlib.util, sys; sys.exit(not all(map(importlib.util.find_spec, sys.argv[1:])))';

/** The Python that `HEED_PYTHON` names, if it has these packages. */
export function pythonWith(...packages: string[]): string | undefined {
  const python = process.env.HEED_PYTHON;
  return python !== undefined && spawnSync(python, ['-c', HAS, ...packages]).status === 0 ? python : undefined;
}
