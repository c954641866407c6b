import { rolldown } from 'rolldown';
const seen = new Map();
const b = await rolldown({ input: process.argv[2] ?? '/tmp/br/entry.ts', platform: 'browser', plugins: [{ name: 'n', resolveId(id, from) { if (id.startsWith('node:') || id==='koffi') { const l = seen.get(from) ?? []; l.push(id); seen.set(from, l); return { id, external: true }; } } }], external: [/^@mujoco/, /^@huggingface.hub/] , onLog(){} });
const { output } = await b.generate({ format: 'esm', minify: true });
for (const [k, v] of [...seen].sort()) console.log(k?.replace('/work/main/', ''), v.join(' '));
console.log(output.map(o => [o.fileName, o.code?.length]));
if (process.argv[3]) for (const o of output) for (const [k, m] of Object.entries(o.modules ?? {}).sort((a,b)=>b[1].renderedLength-a[1].renderedLength).slice(0,+process.argv[3])) console.log(m.renderedLength, k.replace('/work/main/',''));
