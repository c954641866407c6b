/**
 * The package's root. heed is imported by its doors, each of which loads its own part only.
 */
import { HeedError } from './error.ts';

throw new HeedError('"heed" itself exports nothing: import from one of its entry points', {
  hint: "models: 'heed/align', 'heed/lm', 'heed/data'; agents: 'heed/control', 'heed/rl', 'heed/env'; people: 'heed/feedback'; servers: 'heed/serve', 'heed/tinker'; docs/reference/library.md lists all",
});
