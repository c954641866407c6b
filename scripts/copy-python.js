/** Puts the Python that the Gymnasium bridge runs beside its compiled TypeScript. */
import { cpSync, readdirSync } from 'node:fs';

const [from, to] = ['../src/env/gymnasium/', '../dist/env/gymnasium/'].map((path) => new URL(path, import.meta.url));
for (const file of readdirSync(from)) if (file.endsWith('.py')) cpSync(new URL(file, from), new URL(file, to));
