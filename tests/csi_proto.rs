//! `proto/csi.proto` beside the table of CSI 1.13: every row is there, and nothing else but what 1.12 had besides.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

use std::{collections::BTreeSet, path::Path};

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto,
    field_descriptor_proto::{Label, Type},
};

/// What went with 1.13 and what sidecars of before still ask for: rows as in the table.
const OF_1_12: [&str; 7] = [
    "field\tcsi.v1.VolumeCondition\tabnormal\t1\tbool",
    "field\tcsi.v1.VolumeCondition\tmessage\t2\tstring",
    "field\tcsi.v1.ListVolumesResponse.VolumeStatus\tvolume_condition\t2\tcsi.v1.VolumeCondition",
    "field\tcsi.v1.ControllerGetVolumeResponse.VolumeStatus\tvolume_condition\t2\tcsi.v1.VolumeCondition",
    "field\tcsi.v1.NodeGetVolumeStatsResponse\tvolume_condition\t2\tcsi.v1.VolumeCondition",
    "enum\tcsi.v1.ControllerServiceCapability.RPC.Type\tVOLUME_CONDITION\t11\t",
    "enum\tcsi.v1.NodeServiceCapability.RPC.Type\tVOLUME_CONDITION\t4\t",
];

#[test]
fn the_proto_is_the_table_and_what_1_12_had() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = protox::compile([root.join("proto/csi.proto")], [root.join("proto")]).unwrap().file;
    let ours = files.iter().find(|file| file.package() == "csi.v1").unwrap();
    let table = std::fs::read_to_string(root.join("tests/csi/fields.tsv")).unwrap();
    let wanted = table.lines().skip(1).chain(OF_1_12).map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(wanted.len(), table.lines().count() - 1 + OF_1_12.len(), "a row stands there twice");
    let here = rows(ours);
    assert_eq!(wanted.difference(&here).collect::<Vec<_>>(), Vec::<&String>::new(), "rows that are missing");
    assert_eq!(here.difference(&wanted).collect::<Vec<_>>(), Vec::<&String>::new(), "rows that are too many");
}

/// A file as rows of the table.
fn rows(file: &FileDescriptorProto) -> BTreeSet<String> {
    let mut rows = BTreeSet::new();
    for message in &file.message_type {
        add_message("csi.v1", message, &mut rows);
    }
    for values in &file.enum_type {
        add_enum("csi.v1", values, &mut rows);
    }
    for service in &file.service {
        rows.extend(service.method.iter().map(|method| method_row(service.name(), method)));
    }
    rows
}

fn add_message(within: &str, message: &DescriptorProto, rows: &mut BTreeSet<String>) {
    let name = format!("{within}.{}", message.name());
    let nested = message.nested_type.iter().filter(|nested| !is_map_entry(nested));
    if message.field.is_empty() && message.nested_type.is_empty() {
        rows.insert(format!("message\t{name}\t-\t-\t"));
    }
    rows.extend(message.field.iter().map(|field| {
        format!("field\t{name}\t{}\t{}\t{}", field.name(), field.number(), type_of(field, message))
    }));
    nested.for_each(|nested| add_message(&name, nested, rows));
    message.enum_type.iter().for_each(|values| add_enum(&name, values, rows));
}

fn add_enum(within: &str, values: &EnumDescriptorProto, rows: &mut BTreeSet<String>) {
    rows.extend(
        values
            .value
            .iter()
            .map(|value| format!("enum\t{within}.{}\t{}\t{}\t", values.name(), value.name(), value.number())),
    );
}

fn method_row(service: &str, method: &MethodDescriptorProto) -> String {
    let stream = if method.server_streaming() { "stream " } else { "" };
    let (input, output) = (&method.input_type()[1..], &method.output_type()[1..]);
    format!("rpc\tcsi.v1.{service}\t{}\t{input}\t{stream}{output}", method.name())
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry())
}

/// As the table writes it, such as `repeated csi.v1.Topology`, `map<string,string>` and `string (oneof type)`.
fn type_of(field: &FieldDescriptorProto, message: &DescriptorProto) -> String {
    let name = match field.r#type() {
        Type::Message | Type::Enum => field.type_name()[1..].to_owned(),
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    let entry = name.rsplit_once('.').map_or("", |(_, entry)| entry);
    if let Some(entry) =
        message.nested_type.iter().find(|nested| is_map_entry(nested) && nested.name() == entry)
    {
        let of = entry.field.iter().map(|field| type_of(field, entry)).collect::<Vec<_>>();
        return format!("map<{}>", of.join(","));
    }
    match (field.label(), field.oneof_index) {
        (Label::Repeated, _) => format!("repeated {name}"),
        (_, Some(oneof)) => format!("{name} (oneof {})", message.oneof_decl[oneof as usize].name()),
        _ => name,
    }
}
