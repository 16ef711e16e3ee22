# HTTP::Tiny and LWP: perl perl.pl URL VARIANT
use strict;
use warnings;

my ($url, $variant) = @ARGV;
open my $file, '<:raw', 'body.json' or die $!;
my $text = do { local $/; <$file> };

if ($variant eq 'tiny') {
    require HTTP::Tiny;
    HTTP::Tiny->new->post($url, {content => $text, headers => {'Content-Type' => 'application/json'}});
} elsif ($variant eq 'tiny-form') {
    require HTTP::Tiny;
    # It encodes characters, not bytes.
    utf8::decode($text);
    HTTP::Tiny->new->post_form($url, {param => $text});
} elsif ($variant eq 'lwp') {
    require LWP::UserAgent;
    LWP::UserAgent->new->post($url, Content => $text, 'Content-Type' => 'application/json; charset=utf8');
} elsif ($variant eq 'lwp-form-data') {
    require LWP::UserAgent;
    LWP::UserAgent->new->post($url, Content_Type => 'form-data', Content => [param => $text]);
} else {
    die "no variant $variant";
}
