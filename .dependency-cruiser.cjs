/** The arrows between the folders of src: who may import whom. A newcomer can read them here, and CI keeps them true. */

/** What each folder may import besides itself and the leaf files. */
const arrows = {
  engine: [],
  threads: [],
  nn: ['engine', 'threads'],
  env: ['threads'],
  preference: ['engine'],
  monitoring: [],
  http: ['monitoring'],
  run: ['engine/safetensors', 'env/environment', 'monitoring'],
  data: ['run'],
  lm: ['engine', 'nn', 'data'],
  align: ['engine', 'nn', 'preference', 'data', 'run', 'lm', 'tinker'],
  rl: ['engine', 'nn', 'env', 'run'],
  control: ['engine', 'nn', 'env', 'preference', 'rl', 'run'],
  feedback: ['env', 'preference', 'data', 'run', 'monitoring', 'http'],
  studio: ['feedback', 'run'],
  tinker: [],
  serve: ['engine', 'nn', 'preference', 'data', 'run', 'lm', 'align', 'feedback', 'tinker', 'monitoring', 'http'],
  sweep: ['env', 'rl', 'run', 'control'],
  cluster: ['engine/safetensors', 'run', 'sweep', 'data', 'lm', 'align'],
  browser: ['engine'],
  pipeline: ['env', 'rl', 'run', 'control', 'sweep', 'lm', 'align', 'cluster/trainers'],
  course: ['engine', 'nn', 'env'],
  cli: [
    'engine',
    'nn',
    'env',
    'preference',
    'rl',
    'run',
    'control',
    'data',
    'lm',
    'align',
    'feedback',
    'serve',
    'sweep',
    'cluster',
    'pipeline',
    'course',
    'monitoring',
    'http',
  ],
};
/** The rooms of src/align from the ground up: each may import those before it. */
const alignRooms = [
  'diagnosis',
  'training',
  'examples',
  'reward-functions',
  'world',
  'reward-model',
  'process',
  'rewards',
  'supervised',
  'agents',
  'policies',
  'distillation',
  'judges',
  'ppo',
  'policy-gradient',
  'preferences',
  'best-of-n',
  'constitution',
  'evaluation',
  'overoptimization',
  'plan',
];
const leaves =
  '^src/(depth|disposables|dot|error|exact-number|file-format|files|flag-names|library-words|nearest|node|one-by-one|optional-package|options|percent|plugins|protobuf|random|registry|retry|sqlite)\\.ts$';

const doors = ['/index\\.ts$', '^src/align/parts\\.ts$'];

module.exports = {
  forbidden: [
    ...Object.entries(arrows).map(([folder, allowed]) => ({
      name: `${folder}-imports`,
      comment: `src/${folder} may import ${['itself', 'the leaf files', ...allowed].join(', ')} and nothing else of ours.`,
      severity: 'error',
      from: { path: `^src/${folder}/`, pathNot: '\\.test\\.ts$' },
      to: {
        path: '^(src|test|bench)/',
        pathNot: [`^src/${folder}/`, leaves, ...allowed.map((other) => `^src/${other}[./]`)],
      },
    })),
    ...alignRooms.map((room, i) => ({
      name: `align/${room}-imports`,
      comment: `src/align/${room} may import the rooms before it in the list above: ${alignRooms.slice(0, i).join(', ') || 'none'}.`,
      severity: 'error',
      from: { path: `^src/align/${room}/`, pathNot: '\\.test\\.ts$' },
      to: { path: '^src/align/', pathNot: `^src/align/(${[...alignRooms.slice(0, i), room].join('|')})/` },
    })),
    {
      name: 'align-room-unknown',
      comment: 'A new room of src/align needs a place in the list above.',
      severity: 'error',
      from: { path: `^src/align/(?!(${alignRooms.join('|')})/)[^/]+/` },
      to: {},
    },
    {
      name: 'leaves-import-leaves',
      comment: 'What everything imports imports nothing but its like.',
      severity: 'error',
      from: { path: leaves },
      to: { path: '^(src|test|bench)/', pathNot: leaves },
    },
    {
      name: 'folder-unknown',
      comment: 'A new folder of src needs an entry above.',
      severity: 'error',
      from: { path: `^src/(?!(${Object.keys(arrows).join('|')})/)[^/]+/` },
      to: {},
    },
    {
      name: 'doors-are-for-guests',
      comment:
        'index.ts and align/parts.ts are what the package exports. Inside, import the file that defines a name; programs of the course are guests.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['\\.test\\.ts$', '^src/course/modules\\.ts$', ...doors] },
      to: { path: doors },
    },
    {
      name: 'pages-have-no-node',
      comment: "What a page can load takes Node's modules from src/node.ts, which looks them up when they are called.",
      severity: 'error',
      from: {
        path: '^src/((browser|engine|nn|env|preference|rl|control|data|lm|align)/|(files|plugins)\\.ts$)',
        pathNot: '(test|worker)\\.ts$',
      },
      to: { dependencyTypes: ['core'], dependencyTypesNot: ['type-only', 'type-import'] },
    },
    {
      name: 'no-cycles',
      comment: 'No file needs itself: two files that need each other are one, or a third has what both need.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'nothing-unresolved',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true, // types are arrows too
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
