/** Reads a Dockerfile of the instructions that heed's own uses, so that scripts and tests see the same steps as Docker. */

/** Instructions whose value may be a JSON array. */
const LISTS = ['ENTRYPOINT', 'CMD'];
const KNOWN = [...LISTS, 'WORKDIR', 'COPY', 'RUN', 'ENV', 'USER', 'VOLUME', 'EXPOSE', 'HEALTHCHECK', 'STOPSIGNAL'];

/**
 * The stages of a Dockerfile: each with its base, its name if it has one, and its steps in order. A step has its
 * instruction, its flags (`--from=x` as `{ from: 'x' }`) and its words, or for RUN the command.
 *
 * @throws Error that names the line, for an instruction that is not known here.
 */
export function readDockerfile(text) {
  const stages = [];
  let pending = '';
  for (const [i, line] of text.split('\n').entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    pending += line.replace(/\\$/, ' ');
    if (line.endsWith('\\')) continue;
    const [, instruction, rest] = /^\s*(\w+)\s+(.*?)\s*$/.exec(pending) ?? [];
    pending = '';
    if (instruction === 'FROM') {
      const [, base, name] = /^(\S+)(?:\s+AS\s+(\S+))?$/i.exec(rest);
      stages.push({ base, name, steps: [] });
    } else if (KNOWN.includes(instruction) && stages.length > 0) stages.at(-1).steps.push(readStep(instruction, rest));
    else throw new Error(`Dockerfile, line ${i + 1}: "${instruction}" is not known here`);
  }
  return stages;
}

function readStep(instruction, rest) {
  if (instruction === 'RUN') return { instruction, flags: {}, words: [rest] };
  const flags = {};
  const value = rest.replace(/^(?:--(\w[\w-]*)=(\S+)\s+)+/, (all) => {
    for (const [, name, of] of all.matchAll(/--([\w-]+)=(\S+)/g)) flags[name] = of;
    return '';
  });
  if (instruction === 'HEALTHCHECK') return { instruction, flags, words: JSON.parse(value.replace(/^CMD\s+/, '')) };
  if (LISTS.includes(instruction)) return { instruction, flags, words: JSON.parse(value) };
  return { instruction, flags, words: value.split(/\s+/) };
}
