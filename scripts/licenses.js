/**
 * The licenses of what is installed with heed, from package-lock.json: npm run licenses [-- --lock FILE]. Fails if a
 * package has none, or one that is not in the list below, which lawyers commonly allow in products.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const ALLOWED = ['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'CC0-1.0', 'ISC', 'MIT'];

/** Whether an SPDX expression is met by the allowed licenses alone: one of `OR`, all of `AND`. */
export function isAllowed(expression) {
  const words = expression.match(/[()]|[^\s()]+/g) ?? [];
  const expect = (word) => words.shift() === word;
  const one = () => {
    if (words[0] !== '(') return ALLOWED.includes(words.shift());
    words.shift();
    const inner = either();
    return expect(')') && inner;
  };
  const all = () => {
    let holds = one();
    while (words[0] === 'AND') {
      words.shift();
      const next = one();
      holds = holds && next;
    }
    return holds;
  };
  function either() {
    let holds = all();
    while (words[0] === 'OR') {
      words.shift();
      const next = all();
      holds = holds || next;
    }
    return holds;
  }
  const holds = either();
  return holds && words.length === 0;
}

/** The packages that are installed with heed, not for its development: each with its version and license. */
export const installedPackages = ({ packages }) =>
  Object.entries(packages).flatMap(([path, { version, license, dev, peer }]) =>
    path === '' || dev || peer
      ? []
      : [{ name: path.split('node_modules/').at(-1), version, license: license ?? 'none' }],
  );

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lock = fileURLToPath(new URL('../package-lock.json', import.meta.url));
  const { values } = parseArgs({ options: { lock: { type: 'string', default: lock } } });
  const packages = installedPackages(JSON.parse(readFileSync(values.lock, 'utf8')));
  for (const { name, version, license } of packages) console.log(`${license}\t${name} ${version}`);
  const refused = packages.filter(({ license }) => !isAllowed(license));
  if (refused.length > 0) {
    const list = refused.map(({ name, license }) => `${name} (${license})`).join(', ');
    console.error(
      `Not in the list of allowed licenses: ${list}. Replace them, or add the license in ${import.meta.url}.`,
    );
    process.exitCode = 1;
  }
}
