/** Puts the Python that heed runs or sends, and the tokens of its reports, beside its compiled TypeScript: copy-files.js [FOLDER]. */
import { cpSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = process.argv[2] ?? join(root, 'dist');
for (const folder of ['env/gymnasium', 'cluster/trainers/python', 'serve/agents/verifiers']) {
  const from = join(root, 'src', folder);
  for (const file of readdirSync(from)) if (file.endsWith('.py')) cpSync(join(from, file), join(dist, folder, file));
}
cpSync(join(root, 'src', 'tokens.css'), join(dist, 'tokens.css'));
