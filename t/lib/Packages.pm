# Packages.pm - makes packages for the tests: wheels and tarballs, so that no registry is needed.
package Packages;
use strict;
use warnings;
use Cellblock qw(command spew);
use Exporter 'import';
use File::Path qw(make_path);
use File::Temp qw(tempdir);

our @EXPORT_OK = qw(tarball wheel);

my $write_wheel = <<'END';
import base64, hashlib, json, sys, zipfile
directory, name, version, files = sys.argv[1], sys.argv[2], sys.argv[3], json.load(sys.stdin)
info = f"{name}-{version}.dist-info"
files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + files.pop("METADATA", "")
files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
if "entry_points.txt" in files:
    files[f"{info}/entry_points.txt"] = files.pop("entry_points.txt")
record = ""
with zipfile.ZipFile(f"{directory}/{name}-{version}-py3-none-any.whl", "w") as wheel:
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
        wheel.writestr(path, text)
    wheel.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
END

# Write a wheel into the directory. The files are by their paths; "METADATA" is more of it.
sub wheel {
    my ($directory, $name, $version, %files) = @_;
    my $list = File::Temp->new;
    spew("$list", Cellblock::json()->encode(\%files));
    my ($exit, $out, $err) = command(['/usr/bin/python3', '-c', $write_wheel, $directory, $name, $version], stdin => "$list");
    die "wheel $name: $out$err" if $exit != 0;
    return;
}

# Write NAME-VERSION.tgz, as npm makes it, into the directory. `package` is more of package.json.
sub tarball {
    my ($directory, $name, $version, $package, %files) = @_;
    my $work = tempdir(CLEANUP => 1);
    make_path("$work/package");
    spew("$work/package/package.json", Cellblock::json()->encode({ name => $name, version => $version, %{$package} }));
    spew("$work/package/$_", $files{$_}) for keys %files;
    my ($exit, $out, $err) = command(['tar', '-C', $work, '-czf', "$directory/$name-$version.tgz", 'package']);
    die "tarball $name: $out$err" if $exit != 0;
    return "file:$directory/$name-$version.tgz";
}

1;
