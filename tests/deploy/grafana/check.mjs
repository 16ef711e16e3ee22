// Compiles the dashboards against Grafana's own types. Beside the packages of package.json:
//   node check.mjs DIRECTORY_OF_DASHBOARDS
// A dashboard is JSON, where a member of an enumeration is its bare text: hence Json<T>.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const [directory] = process.argv.slice(2);
const kinds = { stat: "Stat", timeseries: "TimeSeries", heatmap: "Heatmap" };
let source = 'import type { Dashboard, Panel, TableOptions } from "@grafana/schema";\n';
for (const [kind, name] of Object.entries(kinds)) {
    source += `import type * as ${kind} from "@grafana/schema/dist/esm/raw/composable/${kind}/panelcfg/x/${name}PanelCfg_types.gen";\n`;
}
source += `
type Json<T> = T extends string ? \`\${T}\`
    : T extends (infer U)[] ? Json<U>[]
    : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
`;
const options = { stat: "stat.Options", timeseries: "timeseries.Options", heatmap: "heatmap.Options", table: "TableOptions" };
const custom = { timeseries: "timeseries.FieldConfig", heatmap: "heatmap.FieldConfig" };
for (const name of ["overview", "callbacks"]) {
    const dashboard = JSON.parse(readFileSync(join(directory, `${name}.json`), "utf8"));
    source += `export const ${name}: Json<Dashboard> = ${JSON.stringify(dashboard, null, 1)};\n`;
    for (const panel of dashboard.panels.filter((panel) => panel.type !== "row")) {
        // What a kind of panel does not know it ignores, and then it looks other than it was meant.
        if (!(panel.type in options)) throw new Error(`${name}: no types are known for a panel ${panel.type}`);
        const at = `${name}_${panel.id}`;
        source += `// ${panel.title}\n`;
        source += `export const ${at}: Json<Partial<${options[panel.type]}>> = ${JSON.stringify(panel.options)};\n`;
        const field = panel.fieldConfig.defaults.custom;
        if (field !== undefined) {
            source += `export const ${at}_field: Json<Partial<${custom[panel.type]}>> = ${JSON.stringify(field)};\n`;
        }
    }
}
const file = fileURLToPath(new URL("dashboards.ts", import.meta.url));
writeFileSync(file, source);
const program = ts.createProgram([file], {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    target: ts.ScriptTarget.ES2022,
});
const found = ts.getPreEmitDiagnostics(program);
const host = { getCurrentDirectory: () => process.cwd(), getCanonicalFileName: (name) => name, getNewLine: () => "\n" };
if (found.length > 0) {
    console.error(ts.formatDiagnostics(found, host));
    process.exit(1);
}
